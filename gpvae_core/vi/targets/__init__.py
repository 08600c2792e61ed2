"""VITarget densities of variational inference, one file each."""
