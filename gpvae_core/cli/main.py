"""`gpvae`: the command line's entry point, which reports bad input as one line with exit code 2."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer
from typer.exceptions import Exit, TyperException

from gpvae_core import __version__
from gpvae_core.cli import bench, data, evaluate, explore, figure, listing, mapa, paper_table, predict, sweep, train
from gpvae_core.cli.output import say
from gpvae_core.errors import UserError
from gpvae_core.guards import EXIT_CODE, interrupted_by_signal
from gpvae_core.progress import Cancelled
from gpvae_core.terminal import PrintableFormatter, accept_all_signs

LONGEST_HALF = 600
"""Letters of a message's beginning, and of its end, that are always shown."""

app = typer.Typer(
    name="gpvae",
    help="Can I trust what this encoder says about this image? Train VAEs, examine their posteriors, measure gaps.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data.app, name="data")
app.command("train", help=train.EXAMPLES)(train.command)
app.command("evaluate")(evaluate.command)
app.command("predict")(predict.predict_command)
app.command("impute")(predict.impute_command)
app.command("explore")(explore.command)
app.command("runs")(listing.runs_command)
app.command("list")(listing.list_command)
app.command("bench")(bench.command)
app.command("sweep", help=sweep.HELP)(sweep.command)
app.command("figure", help=figure.HELP)(figure.command)
app.add_typer(mapa.app, name="mapa")
app.command("table", help=paper_table.HELP)(paper_table.command)


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        say(__version__)
        raise Exit
    if context.invoked_subcommand is None:
        say(context.get_help())
        raise Exit(2)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. Exit codes: 0, 2 on bad input (one line on stderr), 130 if stopped by a signal."""
    accept_all_signs()
    logs = logging.StreamHandler()
    logs.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[logs])
    try:
        with interrupted_by_signal():
            code = app(args=arguments, standalone_mode=False)
    except UserError as error:
        _fail(str(error))
    except TyperException as error:
        _fail(_usage(error))
    except (KeyboardInterrupt, Cancelled):
        say("gpvae: stopped", err=True)
        sys.exit(EXIT_CODE)
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        sys.exit(0)
    except OSError as error:
        _fail(f"{error.filename or 'a file'} cannot be used: {error.strerror or error}")
    if code == EXIT_CODE:  # typer's answer to KeyboardInterrupt
        say("gpvae: stopped", err=True)
    sys.exit(code if isinstance(code, int) else 0)


def _usage(error: TyperException) -> str:
    message = " ".join(str(getattr(error, "format_message", error.__str__)()).split())
    context = getattr(error, "ctx", None)
    return f"{message} (see {context.command_path} --help)" if context is not None else message


def _fail(message: str) -> None:
    """Print the message on one line of standard error, with the middle left out if it is long; exit with code 2."""
    line = " ".join(message.split())
    if len(line) > 2 * LONGEST_HALF:
        line = f"{line[:LONGEST_HALF]} ... {line[-LONGEST_HALF:]}"
    say(f"gpvae: {line}", err=True)
    sys.exit(2)
