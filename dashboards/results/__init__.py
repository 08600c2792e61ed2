"""The Results page: the paper's tables beside ours, cell by cell, from the SQLite files of sweeps."""
