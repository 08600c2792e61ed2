"""Priors of the latents, as maps from N(0, I) that precede the decoder."""
