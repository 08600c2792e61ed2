"""`gpvae mapa`: tables of MAPA's error as an index posterior, and of the methods' test KL."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpvae_core.cli.group import group
from gpvae_core.cli.options import given_path
from gpvae_core.cli.output import JsonFile, check_files, put_json, say
from gpvae_core.cli.table import print_table
from gpvae_core.errors import UserError, clipped
from gpvae_core.parsing import whole_number
from gpvae_core.part import MOST_COUNT
from gpvae_core.progress import terminal_progress

if TYPE_CHECKING:
    from gpvae_core.mapa.trend_table import TrendRow

SETS = ("figure-8", "circle", "absolute-value", "clusters", "spiral-dots")
SHORT = ("set", "N", "bandwidth", "KL(p||q)", "uniform", "captured", "rank")
"""Columns of `gpvae mapa trend` that fit a terminal."""
DEFAULT_OUT = Path("sweeps/mapa")
app = group(
    "Evaluate MAPA, the model-agnostic posterior approximation (Yacoby et al. 2024).\n\n"
    "Example: gpvae mapa trend figure-8 clusters"
)
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


@app.command("trend")
def trend_command(
    sets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SET]...", help="Synthetic data sets with a known distribution.  [default: all five]"),
    ] = None,
    n: Annotated[
        str, typer.Option("--n", help="Number of training points, or several separated by commas: 100,1000.")
    ] = "1000",
    bandwidth: Annotated[
        str,
        typer.Option(
            help="Width of MAPA's kernel: sigma_x (of the noise), validation (highest validation likelihood), best "
            "(smallest KL, which requires the true posterior), or a number; several separated by commas."
        ),
    ] = "sigma_x,validation,best",
    points: Annotated[str, typer.Option(help="Points whose posteriors are compared: training or test.")] = "training",
    draws: Annotated[
        int, typer.Option(min=1, max=MOST_COUNT, help="Number of draws of each data set (split seeds 0, 1, ...).")
    ] = 1,
    all_: Annotated[
        bool, typer.Option("--all", help="Print all columns, in a wide table (--json always has them).")
    ] = False,
    json_: _Json = False,
    out: JsonFile = None,
) -> None:
    """Compare MAPA q(i|x) with the true index posterior p(i|x) of the generating model (nats, means over points).

    KL(p||q) is shown with the KL of a uniform q; captured is 1 minus their ratio. rank is Spearman's correlation of
    log q with log p over the indices that hold 99 % of p.

    --all adds Pearson's correlation over these indices (linear), Spearman's over all indices ('rank, all'), and the
    standard deviation of log q - log p over the 99 % (spread). evidence is the root mean square of
    log 1/N sum_i p(x|z_i) - log p(x), the difference in log evidence between the empirical and the continuous prior.

    Examples:

    gpvae mapa trend

    gpvae mapa trend figure-8 clusters --n 100,300,1000 --bandwidth sigma_x --points test --draws 3 --json
    """
    from gpvae_core.mapa.trend_table import trend_table

    check_files(out)
    with terminal_progress() as progress:
        rows = trend_table(
            sets or SETS, _whole_numbers(n), _list("--bandwidth", bandwidth), points, range(draws), progress
        )
    if not put_json({"rows": [asdict(row) | {"captured": row.captured} for row in rows]}, json_, out):
        print_table([(_line if all_ else _short)(row) for row in rows])
        say(
            f"means over {points} points of {draws} draw{'s' * (draws > 1)}, ± standard error over "
            f"{'draws' if draws > 1 else 'the points of this draw'}; KLs in nats"
        )


def _list(option: str, text: str) -> list[str]:
    items = [part.strip() for part in text.split(",")]
    if "" in items:
        raise UserError(f"wanted {option} as a list like a,b, got '{text}'")
    return list(dict.fromkeys(items))


def _whole_numbers(text: str) -> list[int]:
    numbers = [whole_number(item) for item in _list("--n", text)]
    if None in numbers:
        raise UserError(f"wanted --n as whole numbers like 100,1000, got '{clipped(text)}'")
    return [number for number in numbers if number is not None]


def _line(row: TrendRow) -> dict[str, Any]:
    width = "" if row.bandwidth == "sigma_x" else f" ({row.width:.3g})"
    return {
        "set": row.dataset,
        "N": row.n,
        "bandwidth": row.bandwidth + width,
        "KL(p||q)": _figure(row.kl, 3),
        "KL(q||p)": _figure(row.reverse_kl, 3),
        "uniform": _figure(row.uniform_kl, 2),
        "captured": "" if row.captured is None else f"{row.captured:.0%}",
        "rank": _figure(row.rank, 2),
        "linear": _figure(row.linear, 2),
        "rank, all": _figure(row.rank_of_all, 2),
        "spread": _figure(row.spread, 2),
        "exp H(p), exp H(q)": f"{row.effective_p:.0f}, {row.effective_q:.0f}",
        "evidence": "" if row.evidence_rms is None else f"{row.evidence_rms:.3f}",
    }


def _short(row: TrendRow) -> dict[str, Any]:
    """Return the columns SHORT, with the KL of a uniform q without its standard error."""
    line = _line(row) | {"uniform": _figure({**row.uniform_kl, "se": None}, 2)}
    return {name: line[name] for name in SHORT}


def _figure(entry: Any, digits: int) -> str:
    if entry["mean"] is None:
        return "?"
    return f"{entry['mean']:.{digits}f}" + ("" if entry["se"] is None else f" ± {entry['se']:.{digits}f}")


@app.command("table")
def table_command(
    out: Annotated[Path, typer.Option(parser=given_path, help="Folder of a sweep's results.")] = DEFAULT_OUT,
    setup: Annotated[
        str | None,
        typer.Option(help="Name of the sweep, if the folder holds several.  [default: the one with most methods]"),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(parser=given_path, help="Also write the tables to a Markdown file.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(parser=given_path, help="Also write all values to a CSV file.")] = None,
    json_: _Json = False,
) -> None:
    """Tabulate each method's test KL on each data set, from a sweep's results, and test the paper's statements.

    Nothing is trained. The paper prints no numbers; each of its statements is marked for each data set and S as yes, no
    (paired t-test over draws, p < 0.05), or unsure.

    Examples:

    gpvae sweep docs/mapa.toml --out sweeps/mapa

    gpvae mapa table --out sweeps/mapa --markdown comparison.md
    """
    from gpvae_core.files import write_text
    from gpvae_core.tables.mapa import comparison
    from gpvae_core.tables.mapa_text import TEST_IN_WORDS, kl_rows, sweep_in_words, to_csv, to_markdown, verdict_rows

    check_files(markdown, csv)
    table = comparison(out, setup)
    for path, text in ((markdown, to_markdown), (csv, to_csv)):
        if path is not None:
            write_text(path, text(table))
    if put_json(asdict(table), json_):
        return
    print_table(kl_rows(table))
    say("test KL[p_GT || p_model] in nats, mean ± standard error over draws; * smallest of the data set")
    print_table(verdict_rows(table))
    say(f"{sweep_in_words(table)} {TEST_IN_WORDS}")
