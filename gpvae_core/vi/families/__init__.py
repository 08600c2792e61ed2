"""Variational families, one file each."""
