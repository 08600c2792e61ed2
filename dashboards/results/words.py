"""A sheet in words: the rows of the table, what the marks mean, how ours were made, what is going on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dashboards.results.sheet import Sheet
from dashboards.results.table import Call, Column, Entry, Line, TableContent
from gpvae_core.progress import duration
from gpvae_core.tables.compare import BEST, CLOSE, P_THRESHOLD, Cell
from gpvae_core.tables.export import DATASETS
from gpvae_core.tables.paper import notes

SIGNS = {BEST: "★ ", CLOSE: "≈ "}
PAPER_EPOCHS = 2000
KEY = (
    "★ bold red: best mean of its column (same data, d, decoder). ≈ bold blue: p > 0.01 against it, little evidence of "
    "a difference. Without a sign: p ≤ 0.01; where p is a dash, too few runs to test. The paper's marks are worked "
    "out anew from its means and standard deviations."
)
OWN_KEY = KEY.partition(" The paper's")[0]
SMALLEST_P = 1e-3
NO_RESULTS = (
    "No results yet: there is no results.sqlite below sweeps/, tables/ or runs/, so these are the paper's numbers "
    "alone. Start small (with --dry-run it only says what it costs); what is finished appears here by itself:"
)
FIRST_COMMAND = "gpvae table 1 --dims 10 --methods vae,gp --epochs 20 --runs 2 --restarts 1"


def number(value: float, digits: int = 1, sign: bool = False) -> str:
    """With a true minus sign."""
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")


def p_words(p: float) -> str:
    """Two digits; what is smaller than any reader cares for as '< 0.001'."""
    return f"< {SMALLEST_P:g}" if p < SMALLEST_P else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def _value(mean: float | None, sd: float | None, mark: str | None, empty: str, more: str) -> Entry:
    if mean is None:
        return Entry(empty, None, "soft", more)
    spread = "" if sd is None else f" ± {number(sd)}"
    style = mark if mark is not None and mark in SIGNS else ""
    return Entry(f"{SIGNS.get(mark or '', '')}{number(mean)}{spread}", mean, style, more)


def _dataset(cell: Cell) -> Entry:
    return Entry(DATASETS.get(cell.dataset) or cell.dataset, cell.dataset)


def _paper(cell: Cell) -> Entry:
    more = "" if cell.paper_p is None else f"p = {cell.paper_p:.2g} against the paper's best (Welch, 10 runs each)"
    return _value(cell.paper_mean, cell.paper_sd, cell.paper_mark, "–", more)


def _ours(cell: Cell) -> Entry:
    return _value(cell.mean, cell.sd, cell.mark, "not yet", cell.note or "")


def _difference(cell: Cell) -> Entry:
    if cell.mean is None or cell.paper_mean is None:
        return Entry("–", None, "soft")
    value = cell.mean - cell.paper_mean
    return Entry(number(value, sign=True), value)


def _p(cell: Cell) -> Entry:
    if cell.p is not None:
        return Entry(p_words(cell.p), cell.p, title=f"p = {cell.p:.3g}")
    why = "it is the best" if cell.mark == BEST else "nothing yet" if cell.mean is None else "fewer than two runs"
    return Entry("best" if cell.mark == BEST else "–", None, "soft", why)


def _missing(cell: Cell) -> Entry:
    failed = f", {cell.failed} failed" if cell.failed else ""
    more = "trainings that failed are tried again at the next start" if cell.failed else ""
    return Entry(f"{cell.missing} of {cell.wanted}{failed}", cell.missing, "warn" if failed else "", more)


def _time(cell: Cell) -> Entry:
    if cell.missing_seconds is None:
        return Entry("not known", None, "soft", "nothing of its kind has run: the command with --dry-run measures it")
    return Entry(duration(cell.missing_seconds) if cell.missing else "–", cell.missing_seconds)


@dataclass(frozen=True)
class _Shown:
    """A column and what a cell says in it."""

    column: Column
    entry: Callable[[Cell], Entry]


def _columns(sheet: Sheet) -> list[_Shown]:
    unit, several = sheet.table.unit, {cell.dataset for cell in sheet.every_cell}
    out = [_Shown(Column("method", "Method", "As the paper calls it.", False), lambda c: Entry(c.name, c.name))]
    if len(several) > 1:
        out.append(_Shown(Column("dataset", "Data", "Data set.", False), _dataset))
    out.append(_Shown(Column("d", "d", "Latent dimensions.", True), lambda c: Entry(str(c.latent_dim), c.latent_dim)))
    if len({cell.decoder for cell in sheet.every_cell}) > 1:
        hint = "conv: convolutional; fc: fully connected, about as many weights."
        out.append(_Shown(Column("decoder", "Decoder", hint, False), lambda c: Entry(c.decoder, c.decoder)))
    if not sheet.own:
        out.append(_Shown(Column("paper", f"Paper ({unit})", "Mean ± standard deviation as printed."), _paper))
    if sheet.of_scores:
        out += _our_columns(sheet)
    return out


def _our_columns(sheet: Sheet) -> list[_Shown]:
    hints = (
        "Mean ± standard deviation over runs.",
        "Runs: splits whose restarts have all ended.",
        "Ours less the paper's.",
    )
    against = "Two-sided Welch t-test against our best of the same column."
    ours = [
        _Shown(Column("ours", "Ours (nats)", hints[0]), _ours),
        _Shown(Column("runs", "n runs", hints[1]), lambda c: Entry(str(c.runs), c.runs)),
        _Shown(Column("difference", "Ours − paper (nats)", hints[2]), _difference),
        _Shown(Column("p", "p against our best", against), _p),
        _Shown(Column("missing", "Missing runs", f"Of {sheet.runs} wanted."), _missing),
        _Shown(Column("time", "Time for them", "One training after the other, as measured on this machine."), _time),
        _Shown(Column("command", "Command", "Computes what is missing.", False), lambda c: Entry("", c.missing)),
    ]
    return [shown for shown in ours if not (sheet.own and shown.column.key == "difference")]


def table_content(sheet: Sheet, dark: bool) -> TableContent:
    """The rows of the cells chosen, column by column of the paper."""
    columns = _columns(sheet)
    rows = []
    for cell in sheet.cells:
        name = f"{cell.dataset}/{cell.method}/{cell.latent_dim}/{cell.decoder}"
        entries = tuple(_without_marks(shown.entry(cell), sheet) for shown in columns)
        command = sheet.command([cell]) if sheet.of_scores else ""
        rows.append(Line(name, entries, command, f"{cell.dataset}/{cell.latent_dim}/{cell.decoder}"))
    key = "" if not sheet.of_scores else OWN_KEY if sheet.own else KEY
    head = "" if sheet.own else f"Table {sheet.table.number}. "
    return TableContent(
        title=f"{head}{sheet.table.title}",
        sub=f"{sheet.table.quantity}, {sheet.table.unit}",
        key=key,
        calls=calls(sheet),
        columns=tuple(shown.column for shown in columns),
        rows=tuple(rows),
        scope=f"{sheet.path}/{sheet.key}/{'' if sheet.setup is None else sheet.setup.setup}/{sheet.runs}",
        dark=dark,
    )


def _without_marks(entry: Entry, sheet: Sheet) -> Entry:
    """Of times the smallest is best; the paper marks none."""
    if sheet.of_scores:
        return entry
    return Entry(entry.text.lstrip("".join(SIGNS.values())), entry.sort)


def setup_words(sheet: Sheet) -> str:
    """How ours were trained, against the paper's epochs."""
    if sheet.setup is None:
        return ""
    content = sheet.setup.content
    epochs = " and ".join(map(str, sheet.epochs))
    paper = "" if sheet.own else f" (the paper: {PAPER_EPOCHS})"
    settings = [f"{key}={value}" for key, value in content["set"].items()]
    settings += [
        f"{method}: {key}={value}" for method, own in content["method_settings"].items() for key, value in own.items()
    ]
    preset = f"preset {content['preset']}" if content["preset"] else "no preset"
    score = f"IWAE-{content['evaluate']['k']}"
    return "; ".join([f"ours: {epochs} epochs{paper}", preset, *settings, score])


def explanation(sheet: Sheet) -> str:
    """What the figures are, in two lines."""
    if not sheet.of_scores:
        return (
            "Milliseconds for a batch of 128 test images, on the paper's machine (RTX 2080 Ti). Times compare only "
            "side by side on one machine: measure ours by the command."
        )
    k = "one training" if sheet.restarts == 1 else f"the best of {sheet.restarts} restarts by validation"
    words = (
        f"n counts runs: train/validation splits, of each {k}; ± is the standard deviation over them. p is a two-sided "
        f"t-test (Welch's) against our best of the same column; the paper sees little evidence of a difference above "
        f"{P_THRESHOLD:g}. "
    )
    made = setup_words(sheet)
    return words + (f"{made[0].upper()}{made[1:]}." if made else "")


def standing(sheet: Sheet) -> str:
    """What is done and what goes on."""
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
    """What a reader should know of our images and of this table."""
    found = dict.fromkeys(f"{cell.dataset}: {cell.note}" for cell in sheet.cells if cell.note)
    return " ".join([*found, *(notes()[:1] if sheet.table.number == 10 else ())])


def calls(sheet: Sheet) -> tuple[Call, ...]:
    """What to run: a small start where there is nothing yet, and what computes all that the rows shown lack."""
    if not sheet.of_scores:
        return (Call("Ours:", sheet.command(sheet.cells)),)
    start = () if sheet.path is not None else (Call(NO_RESULTS, FIRST_COMMAND, first=True),)
    command = sheet.command(sheet.cells)
    return (*start, Call(f"{missing_in_all(sheet.cells)}:", command)) if command else start


def missing_in_all(cells: Sequence[Cell]) -> str:
    """'12 runs missing in the rows shown (3 h 20 min for 2 cells, time not known for 1 cell)'."""
    times = [cell.missing_seconds for cell in cells if cell.missing]
    known = [seconds for seconds in times if seconds is not None]
    time = f"{duration(sum(known))} for {_counted(len(known), 'cell')}" if known else ""
    unknown = f"time not known for {_counted(len(times) - len(known), 'cell')}" if len(known) < len(times) else ""
    missing = _counted(sum(cell.missing for cell in cells), "run")
    return f"{missing} missing in the rows shown ({', '.join(part for part in (time, unknown) if part)})"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def column_words(cell: Cell) -> str:
    """'MNIST, d = 10, conv'."""
    return f"{DATASETS.get(cell.dataset, cell.dataset)}, d = {cell.latent_dim}, {cell.decoder}"


def figure_sentence(sheet: Sheet) -> str:
    """How to read the figure."""
    first = "Ours: diamonds" if sheet.own else "Paper: circles; ours: diamonds"
    return f"{first}; bars are one standard deviation over runs. Further right is better."


def figure_alt(cells: Sequence[Cell]) -> str:
    """The figure in one sentence."""
    known = [cell for cell in cells if cell.mean is not None]
    best = next((cell for cell in known if cell.mark == BEST), None)
    ours = (
        "none of ours yet"
        if best is None
        else f"ours for {len(known)}, the best {best.name}, {number(best.mean or 0.0)} nats"
    )
    return f"Test log-likelihood of {len(cells)} methods on {column_words(cells[0])}: {ours}."
