"""`gpvae mapa`: how well MAPA follows the true index posterior, and the comparison of methods, as tables."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpvae_core.cli.group import group
from gpvae_core.cli.table import print_table
from gpvae_core.errors import UserError
from gpvae_core.progress import terminal_progress

if TYPE_CHECKING:
    from gpvae_core.mapa.trend_table import TrendRow

SETS = ("figure-8", "circle", "absolute-value", "clusters", "spiral-dots")
SHORT = ("set", "N", "bandwidth", "KL(p||q)", "uniform", "captured", "rank")
"""Columns of the trend that fit a terminal."""
DEFAULT_OUT = Path("sweeps/mapa")
app = group(
    "MAPA, the model-agnostic posterior approximation, in numbers (Yacoby et al. 2024).\n\n"
    "Example: gpvae mapa trend figure-8 clusters"
)
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


@app.command("trend")
def trend_command(
    sets: Annotated[
        list[str] | None, typer.Argument(metavar="[SET]...", help="Data sets of known truth.  [default: the five]")
    ] = None,
    n: Annotated[str, typer.Option("--n", help="Training points, or several numbers as 100,1000.")] = "1000",
    bandwidth: Annotated[
        str,
        typer.Option(
            help="Width of MAPA's kernel: sigma_x (the noise's), validation (best on validation points), best (the "
            "least KL, which takes the truth to know), or numbers; several as a list with commas."
        ),
    ] = "sigma_x,validation,best",
    points: Annotated[str, typer.Option(help="Compute the posteriors of training or of test points.")] = "training",
    draws: Annotated[int, typer.Option(min=1, help="Draws of each data set (split seeds 0, 1, ...).")] = 1,
    all_: Annotated[
        bool, typer.Option("--all", help="Print all figures, in a wide table (--json has them anyway).")
    ] = False,
    json_: _Json = False,
) -> None:
    """MAPA q(i|x) against the true index posterior p(i|x) of the model that made the data (nats, means over points).

    KL(p||q) stands beside the KL of a uniform q, which knows nothing; captured is 1 - their ratio. rank is Spearman's
    correlation of log q with log p over the indices that hold 99 % of p.

    With --all also Pearson's (linear), Spearman's over all indices ('rank, all'), and the standard deviation of
    log q - log p over the former (spread). evidence is the root mean square of log 1/N sum_i p(x|z_i) - log p(x): by
    so much the empirical posterior, scaled by N, differs from the continuous one at the codes.

    Examples:

    gpvae mapa trend

    gpvae mapa trend figure-8 clusters --n 100,300,1000 --bandwidth sigma_x --points test --draws 3 --json
    """
    from gpvae_core.mapa.trend_table import trend_table

    with terminal_progress() as progress:
        rows = trend_table(
            sets or SETS, _whole_numbers(n), _list("--bandwidth", bandwidth), points, range(draws), progress
        )
    if json_:
        typer.echo(json.dumps({"rows": [asdict(row) | {"captured": row.captured} for row in rows]}, indent=1))
    else:
        print_table([(_line if all_ else _short)(row) for row in rows])
        typer.echo(
            f"means over {points} points of {draws} draw{'s' * (draws > 1)}, ± standard error over "
            f"{'draws' if draws > 1 else 'the points of this draw'}; KLs in nats"
        )


def _list(option: str, text: str) -> list[str]:
    found = [part.strip() for part in text.split(",")]
    if "" in found:
        raise UserError(f"wanted {option} as a list like a,b, got '{text}'")
    return list(dict.fromkeys(found))


def _whole_numbers(text: str) -> list[int]:
    found = _list("--n", text)
    if not all(part.isdecimal() for part in found):
        raise UserError(f"wanted --n as whole numbers like 100,1000, got '{text}'")
    return [int(part) for part in found]


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
    """Return the columns SHORT; of the uniform's KL, which is a yardstick, without its error."""
    line = _line(row) | {"uniform": _figure({**row.uniform_kl, "se": None}, 2)}
    return {name: line[name] for name in SHORT}


def _figure(entry: Any, digits: int) -> str:
    if entry["mean"] is None:
        return "?"
    return f"{entry['mean']:.{digits}f}" + ("" if entry["se"] is None else f" ± {entry['se']:.{digits}f}")


@app.command("table")
def table_command(
    out: Annotated[Path, typer.Option(help="Folder of a sweep's results.")] = DEFAULT_OUT,
    setup: Annotated[
        str | None,
        typer.Option(help="Name of the sweep, where a folder holds several.  [default: that of the most methods]"),
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write the tables to a Markdown file.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write every figure to a CSV file.")] = None,
    json_: _Json = False,
) -> None:
    """Test KL of each method on each data set, from a sweep's results, and whether what the paper says holds here.

    Nothing is trained. The paper has no numbers in its text; each of its statements gets a mark for each data set and
    S: yes, no (paired t-test over draws, p < 0.05), or unsure.

    Examples:

    gpvae sweep docs/mapa.toml --out sweeps/mapa

    gpvae mapa table --out sweeps/mapa --markdown comparison.md
    """
    from gpvae_core.files import disk_errors
    from gpvae_core.tables.mapa import comparison
    from gpvae_core.tables.mapa_text import READING, about, kl_rows, to_csv, to_markdown, verdict_rows

    found = comparison(out, setup)
    for path, text in ((markdown, to_markdown), (csv, to_csv)):
        if path is not None:
            with disk_errors(str(path)):
                path.write_text(text(found), encoding="utf-8")
    if json_:
        typer.echo(json.dumps(asdict(found), indent=1))
        return
    print_table(kl_rows(found))
    typer.echo("test KL[p_GT || p_model] in nats, mean ± standard error over draws; * smallest of the data set")
    print_table(verdict_rows(found))
    typer.echo(f"{about(found)} {READING}")
