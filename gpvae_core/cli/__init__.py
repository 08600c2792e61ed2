"""The command line, `gpvae`: one file per command."""
