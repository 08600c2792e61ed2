"""Computations of the GP-Prior Lab: what a GP prior predicts of images that were not seen, and what training made."""
