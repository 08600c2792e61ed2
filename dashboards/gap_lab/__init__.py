"""The Gap Lab: several inference methods on one decoder, their gaps, and SVI as a film."""
