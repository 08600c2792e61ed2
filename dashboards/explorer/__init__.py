"""The Posterior Explorer: six views of one image, and whether the encoder can be trusted on it."""
