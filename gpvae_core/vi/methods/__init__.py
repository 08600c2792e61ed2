"""Methods of variational inference, one file each."""
