"""Computations of the Gap Lab: several methods of inference under one decoder, compared with its true posterior."""
