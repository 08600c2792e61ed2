"""Synthetic points whose generating model is known (Yacoby et al. 2024, C.1)."""
