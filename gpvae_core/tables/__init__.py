"""The tables of Kim & Pavlovic 2021 as data, the sweeps that fill them, and ours beside theirs. No torch at import."""
