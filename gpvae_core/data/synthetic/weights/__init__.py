"""Weights of the surrogate networks, written by `gpvae data surrogates`."""
