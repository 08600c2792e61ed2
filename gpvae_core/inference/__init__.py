"""The ways to fit a run's generative model: with an encoder (amortized), or with MAPA's index posteriors."""
