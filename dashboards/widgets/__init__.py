"""Widgets of our own, each a small script beside its Python class; nothing is fetched from elsewhere."""
