"""Kernels k(x_n | x_i) of MAPA, one for each likelihood."""
