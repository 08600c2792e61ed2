"""The Posterior Explorer: views of one image that show how far the encoder can be trusted on it."""
