"""Variational inference on models whose posterior is known: the methods that amortized inference stands on."""
