"""Figures: one file per figure, each with a function from plain data to a plotly Figure; torch is not imported."""
