"""Divergences between q(z) and p(z|x), one file each."""
