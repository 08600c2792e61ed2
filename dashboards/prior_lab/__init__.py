"""The GP-Prior Lab: what a GP prior says of frames and views that were not seen, and what training made of it."""
