"""Estimators of the ELBO's gradient, one file each."""
