"""Sweeps: many trainings on dask.distributed, their results in one SQLite file."""
