"""Commands with subcommands, such as `gpvae data list`."""

from __future__ import annotations

import typer

from gpvae_core.cli.output import say


def group(text: str) -> typer.Typer:
    """Return a command that prints its help and exits with code 2 if it is called without a subcommand."""
    app = typer.Typer(help=text, invoke_without_command=True)

    @app.callback()
    def options(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            say(context.get_help())
            raise typer.Exit(2)

    return app
