"""Priors on the latents, as maps from N(0, I) that stand before the decoder."""
