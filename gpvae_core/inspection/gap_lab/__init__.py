"""What the Gap Lab shows: several ways to infer z under one decoder, against that decoder's true posterior."""
