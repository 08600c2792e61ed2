"""After training with MAPA: from codes of any distribution back to a model with the prior N(0, I) and an encoder."""
