"""The sentences of the Results page: the meaning of numbers and marks, the setup, the progress, commands to run."""

from __future__ import annotations

from collections.abc import Sequence

from dashboards.widgets.table import Call
from gpvae_core.progress import duration
from gpvae_core.sweep.scores import LOG_LIKELIHOOD, SCORES, decimals
from gpvae_core.tables.compare import BEST, P_THRESHOLD, Cell
from gpvae_core.tables.export import DATASETS
from gpvae_core.tables.paper import notes
from gpvae_core.tables.sheet import Sheet

PAPER_EPOCHS = 2000
KEY = (
    "★ bold red: best mean of its column (same data, d, decoder). ≈ bold blue: p > 0.01 against it, little evidence of "
    "a difference. Without a sign: p ≤ 0.01; where p is a dash, too few runs to test. The paper's marks are worked "
    "out anew from its means and standard deviations."
)
OWN_KEY = KEY.partition(" The paper's")[0]
TIMES = (
    "Milliseconds for a batch of 128 test images; the paper's on its machine (RTX 2080 Ti), so compare multiples of "
    "the VAE's time rather than milliseconds. Ours are measured with the networks for 28x28 images at d = 50."
)
SMALLEST_P = 1e-3
NO_RESULTS = (
    "No results yet: there is no results.sqlite below sweeps/, tables/ or runs/, so these are the paper's numbers "
    "alone. Start small (--dry-run gives its cost alone); what is finished appears here by itself:"
)
NOTHING_YET = "Nothing yet: no training of this column has ended."
FETCH = "The data are not on this machine yet; fetch them first:"
FIRST_DATA = ["mnist"]
FIRST_COMMAND = "gpvae table 1 --dims 10 --methods vae,gp --epochs 20 --runs 2 --restarts 1"


def number(value: float, digits: int = 1, sign: bool = False) -> str:
    """Return the number with `digits` decimals and the typographic minus sign."""
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")


def p_words(p: float) -> str:
    """Return a p-value with two digits, or as '< 0.001'."""
    return f"< {SMALLEST_P:g}" if p < SMALLEST_P else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def setup_words(sheet: Sheet) -> str:
    """Return how our runs were trained: epochs beside the paper's, preset, settings and score."""
    if sheet.setup is None:
        return ""
    content = sheet.setup.content
    epochs = " and ".join(map(str, sheet.epochs)) + (" epoch" if sheet.epochs == (1,) else " epochs")
    paper = "" if sheet.own else f" (the paper: {PAPER_EPOCHS})"
    settings = [f"{key}={value}" for key, value in content["set"].items()]
    settings += [
        f"{method}: {key}={value}" for method, own in content["method_settings"].items() for key, value in own.items()
    ]
    preset = f"preset {content['preset']}" if content["preset"] else "no preset"
    k = content["evaluate"]["k"]
    score = f"IWAE-{k}" if sheet.table.score == LOG_LIKELIHOOD else f"predictions by {counted(k, 'sample')}"
    return "; ".join([f"ours: {epochs}{paper}", preset, *settings, score])


def explanation(sheet: Sheet) -> str:
    """Return the meaning of the numbers in the table, and the setup of our runs."""
    if not sheet.of_scores:
        return TIMES + (
            "" if sheet.times is None else f" Ours: {sheet.times.device}, {counted(sheet.times.threads, 'thread')}."
        )
    k = "one training" if sheet.restarts == 1 else f"the best of {sheet.restarts} restarts by validation"
    words = (
        f"n counts runs: train/validation splits, of each {k}; ± is the standard deviation over them. p is a two-sided "
        f"t-test (Welch's) against our best of the same column; the paper sees little evidence of a difference above "
        f"{P_THRESHOLD:g}. "
    )
    made = setup_words(sheet)
    return words + (f"{made[0].upper()}{made[1:]}." if made else "")


def progress(sheet: Sheet) -> str:
    """Return how many trainings are done, running and failed, and when the last result was written."""
    if not sheet.rows:
        return ""
    counts = [f"{sheet.count('done')} of {len(sheet.rows)} trainings done"]
    counts += [f"{sheet.count(name)} {name}" for name in ("running", "failed") if sheet.count(name)]
    last = max((row.finished or "" for row in sheet.rows), default="")
    if last:
        counts.append(f"last result {last.replace('T', ' ').replace('Z', ' UTC')}")
    why = [f"{row.folder}: {row.message}" for row in sheet.rows if row.status == "failed"]
    return ", ".join(counts) + (f". Failed: {why[0]}" if why else "")


def remarks(sheet: Sheet) -> str:
    """Return notes on differences between our data and the paper's, and on this table."""
    remarks = dict.fromkeys(f"{cell.dataset}: {cell.note}" for cell in sheet.cells if cell.note)
    return " ".join([*remarks, *(notes()[:1] if sheet.table.number == 10 else ())])


def calls(sheet: Sheet) -> tuple[Call, ...]:
    """Return the commands to run: a small one if there are no results, and one for all results missing in the rows."""
    if not sheet.of_scores:
        return (Call("Measure ours:", sheet.command(sheet.cells)),) if sheet.times is None else ()
    start = () if sheet.path is not None else (Call(NO_RESULTS, FIRST_COMMAND, first=True),)
    command = sheet.command(sheet.cells)
    rest = (Call(f"{missing_in_all(sheet.cells)}:", command),) if command else ()
    wanted = [cell.dataset for cell in sheet.cells if cell.missing and rest]
    wanted += FIRST_DATA if start else []
    return (*fetching(wanted), *start, *rest)


def fetching(datasets: Sequence[str]) -> tuple[Call, ...]:
    """Return the command that fetches those of the data sets whose files are not on this machine, if there are any."""
    from gpvae_core.data.base import DATASETS as SOURCES  # it imports torch, for which no page waits
    from gpvae_core.data.base import parse_name

    heads = dict.fromkeys(parse_name(name)[0] for name in datasets)
    absent = [name for name in heads if name in SOURCES.summaries() and SOURCES.get(name).present() is False]
    return (Call(FETCH, f"gpvae data fetch {' '.join(absent)}"),) if absent else ()


def missing_in_all(cells: Sequence[Cell]) -> str:
    """Return '12 runs missing in the rows shown (3 h 20 min for 2 cells, time not known for 1 cell)'."""
    times = [cell.missing_seconds for cell in cells if cell.missing]
    known = [seconds for seconds in times if seconds is not None]
    time = f"{duration(sum(known))} for {counted(len(known), 'cell')}" if known else ""
    unknown = f"time not known for {counted(len(times) - len(known), 'cell')}" if len(known) < len(times) else ""
    missing = counted(sum(cell.missing for cell in cells), "run")
    return f"{missing} missing in the rows shown ({', '.join(part for part in (time, unknown) if part)})"


def counted(count: int, what: str) -> str:
    """Return '1 run' or '12 runs'."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def column_words(cell: Cell) -> str:
    """Return 'MNIST, d = 10, conv'."""
    return f"{DATASETS.get(cell.dataset, cell.dataset)}, d = {cell.latent_dim}, {cell.decoder}"


def figure_sentence(sheet: Sheet) -> str:
    """Return how to read the figure."""
    first = "Ours: diamonds" if sheet.own else "Paper: circles; ours: diamonds"
    better = "left" if sheet.table.score is not None and sheet.table.score.smaller_is_better else "right"
    return f"{first}; bars are one standard deviation over runs. Further {better} is better."


def figure_alt(cells: Sequence[Cell]) -> str:
    """Return the figure's alternative text."""
    known = [cell for cell in cells if cell.mean is not None]
    best = next((cell for cell in known if cell.mark == BEST), None)
    unit = cells[0].unit
    ours = (
        "none of ours yet"
        if best is None
        else f"ours for {len(known)}, the best {best.name}, {number(best.mean or 0.0, decimals(unit))} {unit}"
    )
    name = SCORES[unit].name if unit in SCORES else "time"
    return f"{name.capitalize()} of {len(cells)} methods on {column_words(cells[0])}: {ours}."
