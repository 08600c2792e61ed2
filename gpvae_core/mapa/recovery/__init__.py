"""The way from codes of any distribution, after training with MAPA, to a model with prior N(0, I) and an encoder."""
