"""A sheet as rows: the columns of each kind of table and what a cell says in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dashboards.results.words import KEY, OWN_KEY, calls, number, p_words
from dashboards.widgets.table import Heading, Item, TableContent, TableLine
from gpvae_core.progress import duration
from gpvae_core.tables.compare import BEST, CLOSE, Cell
from gpvae_core.tables.export import DATASETS
from gpvae_core.tables.sheet import Sheet

SIGNS = {BEST: "★ ", CLOSE: "≈ "}


def _value(mean: float | None, sd: float | None, mark: str | None, empty: str, more: str) -> Item:
    if mean is None:
        return Item(empty, None, "soft", more)
    spread = "" if sd is None else f" ± {number(sd)}"
    style = mark if mark is not None and mark in SIGNS else ""
    return Item(f"{SIGNS.get(mark or '', '')}{number(mean)}{spread}", mean, style, more)


def _dataset(cell: Cell) -> Item:
    return Item(DATASETS.get(cell.dataset) or cell.dataset, cell.dataset)


def _paper(cell: Cell) -> Item:
    more = "" if cell.paper_p is None else f"p = {cell.paper_p:.2g} against the paper's best (Welch, 10 runs each)"
    return _value(cell.paper_mean, cell.paper_sd, cell.paper_mark, "–", more)


def _ours(cell: Cell) -> Item:
    return _value(cell.mean, cell.sd, cell.mark, "not yet", cell.note or "")


def _difference(cell: Cell) -> Item:
    if cell.mean is None or cell.paper_mean is None:
        return Item("–", None, "soft")
    value = cell.mean - cell.paper_mean
    return Item(number(value, sign=True), value)


def _p(cell: Cell) -> Item:
    if cell.p is not None:
        return Item(p_words(cell.p), cell.p, title=f"p = {cell.p:.3g}")
    why = "it is the best" if cell.mark == BEST else "nothing yet" if cell.mean is None else "fewer than two runs"
    return Item("best" if cell.mark == BEST else "–", None, "soft", why)


def _missing(cell: Cell) -> Item:
    failed = f", {cell.failed} failed" if cell.failed else ""
    more = "trainings that failed are tried again at the next start" if cell.failed else ""
    return Item(f"{cell.missing} of {cell.wanted}{failed}", cell.missing, "warn" if failed else "", more)


def _time(cell: Cell) -> Item:
    if cell.missing_seconds is None:
        return Item("not known", None, "soft", "nothing of its kind has run: the command with --dry-run measures it")
    return Item(duration(cell.missing_seconds) if cell.missing else "–", cell.missing_seconds)


@dataclass(frozen=True)
class _Shown:
    """A column and what a cell says in it."""

    column: Heading
    entry: Callable[[Cell], Item]


def _columns(sheet: Sheet) -> list[_Shown]:
    unit, several = sheet.table.unit, {cell.dataset for cell in sheet.every_cell}
    out = [_Shown(Heading("method", "Method", "As the paper calls it.", False), lambda c: Item(c.name, c.name))]
    if len(several) > 1:
        out.append(_Shown(Heading("dataset", "Data", "Data set.", False), _dataset))
    out.append(_Shown(Heading("d", "d", "Latent dimensions.", True), lambda c: Item(str(c.latent_dim), c.latent_dim)))
    if len({cell.decoder for cell in sheet.every_cell}) > 1:
        hint = "conv: convolutional; fc: fully connected, about as many weights."
        out.append(_Shown(Heading("decoder", "Decoder", hint, False), lambda c: Item(c.decoder, c.decoder)))
    if not sheet.own:
        out.append(_Shown(Heading("paper", f"Paper ({unit})", "Mean ± standard deviation as printed."), _paper))
    return out + (_our_columns(sheet) if sheet.of_scores else _time_columns(sheet))


def _time_columns(sheet: Sheet) -> list[_Shown]:
    """Return ours, and both as multiples of the VAE's time on the same machine, which can be compared."""
    places = {(c.dataset, c.latent_dim, c.decoder): c for c in sheet.every_cell if c.method == "vae"}
    first = {key: cell.paper_mean for key, cell in places.items()}
    mine = {key: cell.mean for key, cell in places.items()}

    def place(cell: Cell) -> tuple[str, int, str]:
        return cell.dataset, cell.latent_dim, cell.decoder

    hint = "As a multiple of the VAE's time on the same machine."
    ours = [_Shown(Heading("ours", "Ours (ms)", "Measured on this machine."), lambda c: _time_of(c.mean, 2))]
    if not places:
        return ours
    theirs = _Shown(
        Heading("paper_ratio", "Paper ÷ its VAE", hint), lambda c: _times(c.paper_mean, first.get(place(c)))
    )
    both = _Shown(Heading("our_ratio", "Ours ÷ our VAE", hint), lambda c: _times(c.mean, mine.get(place(c))))
    return [theirs, *ours, both]


def _time_of(value: float | None, digits: int) -> Item:
    return Item("–", None, "soft") if value is None else Item(number(value, digits), value)


def _times(value: float | None, by: float | None) -> Item:
    return _time_of(None if value is None or not by else value / by, 1)


def _our_columns(sheet: Sheet) -> list[_Shown]:
    hints = (
        "Mean ± standard deviation over runs.",
        "Runs: splits whose restarts have all ended.",
        "Ours less the paper's.",
    )
    against = "Two-sided Welch t-test against our best of the same column."
    ours = [
        _Shown(Heading("ours", "Ours (nats)", hints[0]), _ours),
        _Shown(Heading("runs", "n runs", hints[1]), lambda c: Item(str(c.runs), c.runs)),
        _Shown(Heading("difference", "Ours − paper (nats)", hints[2]), _difference),
        _Shown(Heading("p", "p against our best", against), _p),
        _Shown(Heading("missing", "Missing runs", f"Of {sheet.runs} wanted."), _missing),
        _Shown(Heading("time", "Time for them", "One training after the other, as measured on this machine."), _time),
        _Shown(Heading("command", "Command", "Computes what is missing.", False), lambda c: Item("", c.missing)),
    ]
    return [shown for shown in ours if not (sheet.own and shown.column.key == "difference")]


def table_content(sheet: Sheet) -> TableContent:
    """Return the rows of the cells chosen, column by column of the paper."""
    columns = _columns(sheet)
    rows = []
    for cell in sheet.cells:
        name = f"{cell.dataset}/{cell.method}/{cell.latent_dim}/{cell.decoder}"
        entries = tuple(shown.entry(cell) for shown in columns)
        command = sheet.command([cell]) if sheet.of_scores else ""
        rows.append(TableLine(name, entries, command, f"{cell.dataset}/{cell.latent_dim}/{cell.decoder}"))
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
    )
