"""The VI Lab: inferences on targets whose posterior is known, two of them side by side."""
