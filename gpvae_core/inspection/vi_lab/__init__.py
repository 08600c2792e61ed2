"""Computations of the VI Lab: inference on targets whose posterior is known, step by step."""
