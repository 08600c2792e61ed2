"""Figures that are drawn from runs on disk, each by `gpvae figure NAME RUN...`."""
