"""Figures: one file per figure, plain data -> plotly Figure. No torch here."""
