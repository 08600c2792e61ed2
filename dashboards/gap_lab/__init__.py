"""The Gap Lab: several ways of inference on one decoder, their gaps, and SVI as a film."""
