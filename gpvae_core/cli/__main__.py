"""`python -m gpvae_core.cli` is `gpvae`."""

from gpvae_core.cli.main import main

main()
