"""Kinds of inference by which a run's model is trained: by an encoder (amortized), or by MAPA's index posteriors."""
