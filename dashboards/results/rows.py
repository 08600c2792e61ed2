"""The rows of a results table: its columns, and the entry of each cell in them."""

from __future__ import annotations

from collections.abc import Callable

from dashboards.lab.words import method_words
from dashboards.results.words import KEY, OWN_KEY, calls, number, p_words
from dashboards.widgets.table import Heading, Item, TableContent, TableLine
from gpvae_core.progress import duration
from gpvae_core.sweep.scores import decimals
from gpvae_core.tables.compare import BEST, CLOSE, Cell
from gpvae_core.tables.export import DATASETS
from gpvae_core.tables.sheet import Sheet

Columns = dict[Heading, Callable[[Cell], Item]]
"""The heading of each column, and the function that returns a cell's entry in it."""
SIGNS = {BEST: "★ ", CLOSE: "≈ "}
RATIO = "As a multiple of the VAE's time on the same machine."


def _value(mean: float | None, sd: float | None, mark: str | None, empty: str, more: str, digits: int = 1) -> Item:
    if mean is None:
        return Item(empty, None, "soft", more)
    sign = SIGNS.get(mark or "", "")
    spread = "" if sd is None else f" ± {number(sd, digits)}"
    return Item(f"{sign}{number(mean, digits)}{spread}", mean, mark or "" if sign else "", more)


def _method(cell: Cell) -> Item:
    return Item(cell.name, cell.name, title=method_words(cell.method))


def _paper(cell: Cell) -> Item:
    more = "" if cell.paper_p is None else f"p = {cell.paper_p:.2g} against the paper's best (Welch, 10 runs each)"
    return _value(cell.paper_mean, cell.paper_sd, cell.paper_mark, "–", more)


def _ours(cell: Cell) -> Item:
    return _value(cell.mean, cell.sd, cell.mark, "not yet", cell.note or "", decimals(cell.unit))


def _number(value: float | None, digits: int = 1, sign: bool = False) -> Item:
    return Item("–", None, "soft") if value is None else Item(number(value, digits, sign), value)


def _ratio(value: float | None, by: float | None) -> Item:
    return _number(None if value is None or not by else value / by)


def _difference(cell: Cell) -> Item:
    if cell.mean is None or cell.paper_mean is None:
        return _number(None)
    return _number(cell.mean - cell.paper_mean, sign=True)


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


def _columns(sheet: Sheet) -> Columns:
    out: Columns = {Heading("method", "Method", "As the paper calls it.", False): _method}
    if len({cell.dataset for cell in sheet.every_cell}) > 1:
        data = Heading("dataset", "Data", "Data set.", False)
        out[data] = lambda c: Item(DATASETS.get(c.dataset, c.dataset), c.dataset)
    out[Heading("d", "d", "Latent dimensions.")] = lambda c: Item(str(c.latent_dim), c.latent_dim)
    if len({cell.decoder for cell in sheet.every_cell}) > 1:
        hint = "conv: convolutional; fc: fully connected, about as many weights."
        out[Heading("decoder", "Decoder", hint, False)] = lambda c: Item(c.decoder, c.decoder)
    if not sheet.own:
        out[Heading("paper", f"Paper ({sheet.table.unit})", "Mean ± standard deviation as printed.")] = _paper
    return out | (_our_columns(sheet) if sheet.of_scores else _time_columns(sheet))


def _time_columns(sheet: Sheet) -> Columns:
    """Return the columns of our times and, to compare machines, of both as multiples of the VAE's time."""
    vaes = [cell for cell in sheet.every_cell if cell.method == "vae"]
    papers, ours = {_column(c): c.paper_mean for c in vaes}, {_column(c): c.mean for c in vaes}
    measured: Columns = {Heading("ours", "Ours (ms)", "Measured on this machine."): lambda c: _number(c.mean, 2)}
    if not vaes:
        return measured
    return {
        Heading("paper_ratio", "Paper ÷ its VAE", RATIO): lambda c: _ratio(c.paper_mean, papers.get(_column(c))),
        **measured,
        Heading("our_ratio", "Ours ÷ our VAE", RATIO): lambda c: _ratio(c.mean, ours.get(_column(c))),
    }


def _our_columns(sheet: Sheet) -> Columns:
    def command(cell: Cell) -> Item:
        return Item("", cell.missing, command=sheet.command([cell]))

    against = "Two-sided Welch t-test against our best of the same column."
    trainings = "One training after the other, as measured on this machine."
    difference: Columns = {Heading("difference", "Ours − paper (nats)", "Ours less the paper's."): _difference}
    return {
        Heading("ours", f"Ours ({sheet.table.unit})", "Mean ± standard deviation over runs."): _ours,
        Heading("runs", "n runs", "Runs: splits whose restarts have all ended."): lambda c: Item(str(c.runs), c.runs),
        **({} if sheet.own else difference),
        Heading("p", "p against our best", against): _p,
        Heading("missing", "Missing runs", f"Of {sheet.runs} wanted."): _missing,
        Heading("time", "Time for them", trainings): _time,
        Heading("command", "Command", "Computes what is missing.", False): command,
    }


def _column(cell: Cell) -> str:
    return f"{cell.dataset}/{cell.latent_dim}/{cell.decoder}"


def table_content(sheet: Sheet) -> TableContent:
    """Return the table of the chosen cells: one row for each, in the order of the paper's columns."""
    columns = _columns(sheet)
    rows = [
        TableLine(f"{cell.method}/{_column(cell)}", tuple(entry(cell) for entry in columns.values()), _column(cell))
        for cell in sheet.cells
    ]
    key = "" if not sheet.of_scores else OWN_KEY if sheet.own else KEY
    head = "" if sheet.own else f"Table {sheet.table.number}. "
    return TableContent(
        title=f"{head}{sheet.table.title}",
        sub=f"{sheet.table.quantity}, {sheet.table.unit}",
        key=key,
        calls=calls(sheet),
        columns=tuple(columns),
        rows=tuple(rows),
        scope=f"{sheet.path}/{sheet.key}/{'' if sheet.setup is None else sheet.setup.setup}/{sheet.runs}",
    )
