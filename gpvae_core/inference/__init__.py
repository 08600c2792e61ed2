"""How a run's generative model is fitted: with an encoder (amortized), or with MAPA's index posteriors."""
