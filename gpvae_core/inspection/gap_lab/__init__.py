"""The computing of the Gap Lab: several ways to infer z under one decoder, against that decoder's true posterior."""
