"""The request of the Posterior Explorer: its state, checked, with the runs loaded."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from dashboards.explorer.state import PRINCIPAL, names_of, plane_dims
from dashboards.lab.library import RunLibrary
from dashboards.lab.pane import Pane
from dashboards.lab.resolved import Resolved, Values
from gpvae_core.errors import UserError
from gpvae_core.inspection.views import Instance
from gpvae_core.plots.theme import Theme

if TYPE_CHECKING:
    from gpvae_core.inspection.explorer import Explorer
    from gpvae_core.mapa import Bandwidth

READY_WORDS = {
    "encodings": "the test images are being encoded",
    "atlas": "the latent grid is being decoded",
    "reference": "the training images are being encoded",
    "map": "the t-SNE map is being laid out",
    "gaps": "the gaps of a sample are being computed",
    "correlations": "the correlations are being computed",
}


@dataclass(frozen=True)
class ComparedRun:
    """One of the runs compared, with the image as its model reads it."""

    name: str
    explorer: Explorer
    instance: Instance

    @property
    def latent_dim(self) -> int:
        return self.explorer.run.model.latent_dim


@dataclass(frozen=True)
class ExplorerRequest:
    """The state of the Explorer, checked, with the runs loaded."""

    compared: tuple[ComparedRun, ...]
    focus: int
    plane: str
    colour: str
    against: str
    bandwidth: Bandwidth
    coordinates: int
    """The first of the two coordinates that the traces show, counted from 1."""
    theme: Theme
    identity: Hashable
    """A key of the image: its index, or a unique number for a drawn or uploaded one."""
    refined: bool
    """Whether the best Gaussians of the image are known for each run."""
    failed: str = ""
    """Why the preparation of one of the runs has ended before all was ready; '' where it has not."""

    @property
    def focal(self) -> ComparedRun:
        """The run shown by the views that show only one."""
        return self.compared[self.focus]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(run.name for run in self.compared)

    @property
    def explorers(self) -> tuple[Explorer, ...]:
        """What is computed of the runs; a run that is loaded again, with other weights, has another one."""
        return tuple(run.explorer for run in self.compared)

    @property
    def ready(self) -> frozenset[str]:
        """The names of what has been prepared for all runs compared."""
        return frozenset.intersection(*(run.explorer.ready for run in self.compared))


class ExplorerPane(Pane[ExplorerRequest]):
    """One view of the Explorer; it waits until its runs have prepared what it needs."""

    needs: frozenset[str] = frozenset({"encodings", "atlas"})
    """What must be prepared for each run before the view can be computed."""

    def waits_for(self, request: ExplorerRequest) -> str:
        missing = self.needs - request.ready
        if missing and request.failed:
            raise UserError(request.failed)
        words = ", ".join(READY_WORDS[name] for name in READY_WORDS if name in missing)
        return f"Not ready yet: {words}. This view fills by itself." if missing else ""

    def drawing_key(self, request: ExplorerRequest) -> Hashable:
        return request.theme.name, request.names, request.focus, request.colour, request.against, request.coordinates

    of_both: ClassVar[bool] = False
    """Whether the view shows both runs that are compared."""

    def subject(self, request: ExplorerRequest) -> str:
        names = request.names if self.of_both else (request.focal.name,)
        return f"{' and '.join(names)}, {request.focal.instance.title}"


def resolve(library: RunLibrary, values: Values) -> Resolved[ExplorerRequest] | None:
    """Return the request, None where no run is chosen; values that do not exist are corrected, with a complaint.

    Raises:
        UserError: none of the runs can be loaded, or two cannot be compared.
    """
    if not values["run"]:
        return None
    if values["unasked"] == values["run"]:
        _choose_newest(library, values)
    explorers = _loaded(library, values)
    _correct(values, next(iter(explorers.values())))
    _check_comparable(list(explorers.values()))
    values.lasting += library.remark(list(explorers))
    own, index = values["own_image"], values["index"]
    compared = tuple(
        ComparedRun(name, explorer, explorer.place(own[1], own[0]) if own else explorer.instance(index))
        for name, explorer in explorers.items()
    )
    request = ExplorerRequest(
        compared=compared,
        focus=min(values["focus"] == "second", len(compared) - 1),
        **{name: values[name] for name in ("plane", "colour", "against", "bandwidth", "coordinates")},
        theme=values.theme,
        identity=id(own) if own else index,
        refined=all(run.explorer.knows_best(run.instance) for run in compared),
    )
    return values.resolved(request)


def _choose_newest(library: RunLibrary, values: Values) -> None:
    """Replace the run that the page has chosen by itself, where it cannot be loaded, by the newest that can."""
    newest = library.finished_first(library.image_names())
    found = values.first(newest, library.explorer)
    if found is None:
        raise UserError(" · ".join(values.complaints))
    if found[0] != values["run"]:
        run, other = library.default_choice(damaged=newest[: newest.index(found[0])])
        values.update(run=run, other=other)
    values.update(unasked="")


def _loaded(library: RunLibrary, values: Values) -> dict[str, Explorer]:
    """Return the chosen runs that can be loaded; where only one can, the state is corrected to it."""
    names = names_of(values["run"], values["other"])
    tried = {name: values.attempt(partial(library.explorer, name), None) for name in names}
    explorers = {name: explorer for name, explorer in tried.items() if explorer is not None}
    if not explorers:
        raise UserError(" · ".join(values.complaints))
    if len(explorers) < len(names):
        values.update(run=next(iter(explorers)), other="")
    return explorers


def _correct(values: Values, explorer: Explorer) -> None:
    """Replace an index, a class or a plane that this run does not have, and an index of another class."""
    d = explorer.run.model.latent_dim
    values.below("index", len(explorer.run.data.test.images), "test image")
    _correct_class(values, explorer)
    kind, dims = plane_dims(values["plane"])
    if kind == "dims" and (dims[0] == dims[1] or max(dims) >= d):
        complaint = f"wanted two different latent dimensions from 1 to {d}, got {values['plane']}"
        values.correct("plane", PRINCIPAL, complaint)


def _correct_class(values: Values, explorer: Explorer) -> None:
    name, index = values["of_class"], values["index"]
    if not name or values["own_image"]:
        return
    members = values.attempt(partial(explorer.by_class, name), ())
    if not len(members):
        values.correct("of_class", "")
    elif index not in members:
        # An address that names a class alone has no index.
        complaint = f"test image {index} is not of class '{name}': the first of the class is shown" if index else ""
        values.correct("index", int(min(members)), complaint)


def _check_comparable(explorers: list[Explorer]) -> None:
    if len({explorer.run.data.fingerprint for explorer in explorers}) > 1:
        names = " and ".join(f"'{explorer.run.name}' ({explorer.run.data.name})" for explorer in explorers)
        raise UserError(f"two runs can be compared on the same data only; {names} were trained on different data")
