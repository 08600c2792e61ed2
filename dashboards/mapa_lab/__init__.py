"""The MAPA Lab: how well a posterior approximated from the data alone, before any model, traces the true one."""
