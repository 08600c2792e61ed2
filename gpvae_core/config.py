"""RunConfig: everything that decides a training run, frozen, JSON both ways, with did-you-mean on a wrong key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    model_validator,
)

from gpvae_core.data.base import DataConfig, source_of
from gpvae_core.encoders.base import ENCODERS, EncoderConfig
from gpvae_core.errors import UserError, nearest, unknown
from gpvae_core.inference.amortized import AmortizedConfig
from gpvae_core.inference.base import INFERENCES, InferenceConfig
from gpvae_core.likelihoods import LIKELIHOODS, LikelihoodConfig
from gpvae_core.methods import FAMILIES, Method, get_method
from gpvae_core.nets.base import NETS, NetConfig
from gpvae_core.nets.conv import ConvConfig
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.objectives.base import OBJECTIVES, ObjectiveConfig
from gpvae_core.objectives.elbo import ElboConfig
from gpvae_core.part import parse_model
from gpvae_core.priors.base import PRIORS, PriorConfig
from gpvae_core.priors.normal import NormalPriorConfig
from gpvae_core.refiners.base import REFINERS, RefinerConfig
from gpvae_core.refiners.none import NoRefinerConfig
from gpvae_core.registry import Registry
from gpvae_core.regularisers.base import REGULARISERS, RegulariserConfig
from gpvae_core.regularisers.none import NoRegulariserConfig
from gpvae_core.types import EventShape
from gpvae_core.vae import VAE

FORMAT = 1
"""Version of the run folder; a run written by a newer one is refused."""


def _by_kind(registry: Registry[Any]) -> BeforeValidator:
    """{'kind': name, ...} -> the config registered under that name."""

    def build(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        fields = dict(value)
        return registry.get(str(fields.pop("kind", "")))(**fields)

    return BeforeValidator(build)


AnyEncoder = Annotated[SerializeAsAny[EncoderConfig], _by_kind(ENCODERS)]
AnyNet = Annotated[SerializeAsAny[NetConfig], _by_kind(NETS)]
AnyRefiner = Annotated[SerializeAsAny[RefinerConfig], _by_kind(REFINERS)]
AnyObjective = Annotated[SerializeAsAny[ObjectiveConfig], _by_kind(OBJECTIVES)]
AnyRegulariser = Annotated[SerializeAsAny[RegulariserConfig], _by_kind(REGULARISERS)]
AnyInference = Annotated[SerializeAsAny[InferenceConfig], _by_kind(INFERENCES)]
AnyPrior = Annotated[SerializeAsAny[PriorConfig], _by_kind(PRIORS)]
AnyLikelihood = Annotated[SerializeAsAny[LikelihoodConfig], _by_kind(LIKELIHOODS)]

PARTS: dict[str, Registry[Any]] = {
    "net": NETS,
    "decoder": NETS,
    "prior": PRIORS,
    **FAMILIES,
    "likelihood": LIKELIHOODS,
}
"""The parts of a run of which there are several kinds."""
FREE = ("net", "decoder", "prior", "likelihood")
"""The parts whose kind is a setting; the others follow from the method."""


class TrainConfig(BaseModel):
    """How long and how training goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    epochs: int = Field(default=200, ge=1, description="passes over the training images")
    batch_size: int = Field(default=128, ge=1, description="images in a mini-batch")
    lr: float = Field(default=5e-4, gt=0, description="learning rate of Adam")
    samples: int = Field(default=1, ge=1, description="samples of z for each image and step")
    patience: int = Field(
        default=0,
        ge=0,
        description="stop after so many epochs without a better validation ELBO, counted in the encoder's last stage "
        "and after the warm-up of the KL; 0: never",
    )
    kl_warmup: int = Field(
        default=0,
        ge=0,
        description="epochs over which the weight of the KL to the prior grows from kl_start to 1; 0: it is 1",
    )
    kl_start: float = Field(default=0.1, ge=0, le=1, description="weight of the KL in the first epoch of a warm-up")
    keep_every: int = Field(
        default=0, ge=0, description="keep the weights of every so many epochs, to look at training later; 0: none"
    )
    bfloat16: bool = Field(
        default=False, description="autocast the networks to bfloat16 (the GP algebra stays in float32)"
    )
    compile: bool = Field(
        default=False, description="compile the networks with torch.compile (needs a C++ compiler on CPU)"
    )


LATER: dict[str, PriorConfig | InferenceConfig] = {"prior": NormalPriorConfig(), "inference": AmortizedConfig()}
"""Parts that a run's JSON has only where they are other than these."""


class RunConfig(BaseModel):
    """A run: method (its parts), data, networks, likelihood, training, seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    method: str
    data: DataConfig
    latent_dim: int = Field(default=2, ge=1, le=1024, description="latent dimensions, d")
    net: AnyNet
    decoder: AnyNet | None = None
    """The decoder's network where it is another than the encoder's, `net`."""
    prior: AnyPrior = NormalPriorConfig()
    """Of the latents; a map before the decoder, and as that a part of it."""
    freeze_decoder: bool = False
    """Whether decoder and likelihood stay as they were given (`--decoder-from`)."""
    encoder: AnyEncoder
    refiner: AnyRefiner = NoRefinerConfig()
    objective: AnyObjective = ElboConfig()
    regulariser: AnyRegulariser = NoRegulariserConfig()
    inference: AnyInference = AmortizedConfig()
    likelihood: AnyLikelihood
    train: TrainConfig = TrainConfig()
    seed: int = Field(default=0, ge=0, lt=2**63, description="seed of the weights, the batches and the noise")

    @model_validator(mode="after")
    def _method_and_parts_agree(self) -> RunConfig:
        for part, wanted in get_method(self.method).kinds().items():
            kind = getattr(self, part).kind
            if kind != wanted:
                raise ValueError(f"method '{self.method}' has the {part} '{wanted}', not '{kind}'")
        return self

    @model_validator(mode="after")
    def _inference_goes_with_the_rest(self) -> RunConfig:
        raw = self.to_json()
        for key, wanted in self.inference.only.items():
            got = reduce(lambda node, name: node[name], key.split("."), raw)
            got = got["kind"] if key in PARTS else got
            if got != wanted:
                raise ValueError(_refusal(self.method, self.inference.method, key, wanted, got))
        return self

    @model_validator(mode="after")
    def _networks_can_be_compiled(self) -> RunConfig:
        if self.train.compile and self.refiner.second_derivatives:
            raise ValueError(f"compile=true gives no second derivatives, which the refiner '{self.refiner.kind}' needs")
        return self

    def to_json(self) -> dict[str, Any]:
        """Plain data; the kinds of the polymorphic parts are written beside their fields.

        The parts that came later are left out where they are as ever, so that a run's JSON is what it was before.
        """
        later = {name for name, plain in LATER.items() if getattr(self, name) == plain}
        out = self.model_dump(exclude=later)
        for part in PARTS:
            if out.get(part) is not None:
                out[part] = {"kind": getattr(self, part).kind, **out[part]}
        return out

    def build(self, event_shape: EventShape) -> VAE:
        """The untrained model; its random weights come from torch's global generator.

        Raises:
            UserError: the networks cannot be made for such images, or the refiner does not fit the decoder.
        """
        vae = VAE(
            self.prior.wrap((self.decoder or self.net).decoder(self.latent_dim, event_shape), self.latent_dim),
            self.likelihood.build(),
            self.encoder.build(self.net, event_shape, self.latent_dim),
            self.latent_dim,
            event_shape,
            self.refiner.build(self.net, event_shape, self.latent_dim),
        )
        self.regulariser.prepare(vae.encoder)
        vae.refiner.check(vae)
        if self.freeze_decoder:
            vae.decoder.requires_grad_(False)
            vae.likelihood.requires_grad_(False)
        return vae


def _refusal(method: str, inference: str, key: str, wanted: Any, got: Any) -> str:
    """Of a part or setting that does not go with the inference of that method, by what was typed for it."""
    if FLAGS.get(key) == "--method":
        return f"method '{method}': {inference} works with a plain encoder alone, got the {key} '{got}': leave it out"
    if key in FLAGS:
        return f"method '{method}' trains its decoder, as {inference} does: leave out {FLAGS[key]}"
    return f"method '{method}' works with --set {key}={wanted} alone, got {got}: leave it out"


def parse_config(raw: Mapping[str, Any]) -> RunConfig:
    """A RunConfig from plain data. Raises UserError naming the field, what was wanted and what came."""
    return parse_model(RunConfig, raw)


FLAGS = {
    "method": "--method",
    "name": "--dataset",
    "data.name": "--dataset",
    **{key: "--method" for part in FAMILIES for key in (part, f"{part}.kind")},
    "freeze_decoder": "--decoder-from",
}
"""What decides more than one setting, and is chosen by an option of its own."""


def _wrong_key(key: str, raw: Mapping[str, Any]) -> str:
    known = [path for path in _leaves(_defaults_of(raw)) if path != key]
    if key in FLAGS:
        return f"'{key}' is no setting: use {FLAGS[key]}"
    if key in FREE:
        return f"'{key}' is no setting: use --set {key}.kind=..., or one of {_under(key, known)}"
    elsewhere = [row["setting"] for row in settings_table() if key in (row["setting"], row["setting"].split(".")[-1])]
    if elsewhere:
        part = elsewhere[0].split(".")[0]
        kind = raw[part]["kind"] if part in raw else LATER[part].kind if part in LATER else raw["net"]["kind"]
        return f"setting '{elsewhere[0]}' is of another {part}: this run's is '{kind}'"
    close = nearest(key, known) or nearest(key.rsplit(".", 1)[-1], [k.rsplit(".", 1)[-1] for k in known])
    others = f" (known: {', '.join(known)}; all: gpvae list settings)"
    return f"unknown setting '{key}'" + (f"; did you mean '{close}'?" if close else others)


def _under(part: str, paths: Sequence[str]) -> str:
    return ", ".join(path for path in paths if path.startswith(f"{part}."))


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}.")
        elif key != "kind":
            yield path


def _defaults_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of all settings that this run's parts have, with their defaults."""

    def fields(model: type[BaseModel]) -> dict[str, Any]:
        return {name: field.default for name, field in model.model_fields.items()}

    out = {name: default for name, default in fields(RunConfig).items() if name != "method"}
    out["data"], out["train"] = fields(DataConfig), fields(TrainConfig)
    for part, registry in PARTS.items():
        if part in raw:
            kind = raw[part]["kind"]
            out[part] = {"kind": kind, **fields(registry.get(kind))}
        else:
            del out[part]
    del out["data"]["name"], out["freeze_decoder"]
    return out


def settings_table() -> list[dict[str, str]]:
    """Every setting of every part: its dotted key, default and meaning, for `gpvae list settings`."""
    parts: list[tuple[str, type[BaseModel]]] = [("", RunConfig), ("data.", DataConfig), ("train.", TrainConfig)]
    for part, registry in PARTS.items():
        parts += [(f"{part}.", registry.get(name)) for name in registry.summaries()]
    rows: dict[str, dict[str, str]] = {}
    for prefix, model in parts:
        for name, field in model.model_fields.items():
            if field.description:
                default = "" if field.is_required() else str(field.default)
                rows[f"{prefix}{name}"] = {
                    "setting": f"{prefix}{name}",
                    "default": default,
                    "meaning": field.description,
                }
    return list(rows.values())


def default_net(event_shape: EventShape) -> NetConfig:
    """Tables 6-8 of Kim & Pavlovic 2021 for 28, 32 and 64 pixels a side; fully connected below and between."""
    known = {28: ConvConfig(), 32: ConvConfig(hidden=512), 64: ConvConfig(hidden=512, layers=4)}
    _, height, width = event_shape
    if height != width or height not in known:
        return FullyConnectedConfig(hidden=128 if height * width <= 256 else 512)
    return known[height]


PRESETS: dict[str, dict[str, Any]] = {
    "kim2021": {
        "latent_dim": 10,
        "train": {"epochs": 2000, "batch_size": 128, "lr": 5e-4, "patience": 0},
        "likelihood": {"kind": "gaussian", "learn_sigma_x": True},
        "data": {"validation_fraction": 0.1},
    },
}
"""Settings of a paper by name. kim2021: section 8 and 'Experimental setup' of Kim & Pavlovic 2021 (its d is 10, 20 or
50; sigma_x learned, see NOTATION.md)."""


def make_config(
    method: str,
    data: DataConfig,
    event_shape: EventShape,
    overrides: Mapping[str, Any] | None = None,
    preset: str | None = None,
    decoder_of: RunConfig | None = None,
) -> RunConfig:
    """Defaults for the method, the data and their shape, then a preset, then `overrides` (dotted keys or leaf names).

    Args:
        decoder_of: the run whose decoder and likelihood are to be kept frozen; its networks become the defaults.

    Raises:
        UserError: unknown method, preset or setting, a value out of range, or one that changes a frozen decoder.
    """
    raw = _of_method(get_method(method), event_shape, source_of(data).wants)
    raw["data"] = data.model_dump()
    if preset is not None:
        _merge(raw, _preset(preset))
    if decoder_of is not None:
        raw |= _frozen(decoder_of)
    kinds_first = sorted((overrides or {}).items(), key=lambda item: not item[0].endswith(".kind"))
    for key, value in kinds_first:
        _set(raw, key, value)
    config = _with_inference(parse_config(raw), raw, overrides or {})
    if decoder_of is not None:
        _check_frozen(config, decoder_of)
    return config


def _of_method(method: Method, event_shape: EventShape, of_data: Mapping[str, Any]) -> dict[str, Any]:
    """What a method has by default for these data, of this shape."""
    net = default_net(event_shape)
    raw: dict[str, Any] = {
        "method": method.name,
        "data": {},
        "net": _with_kind(net),
        "likelihood": {"kind": "gaussian"},
        "train": {},
        **{part: {"kind": kind} for part, kind in method.kinds().items()},
    }
    if method.instead_of_conv and isinstance(net, ConvConfig):
        raw["decoder"] = {"kind": method.instead_of_conv, **net.model_dump()}
    for key, value in (*of_data.items(), *method.settings):
        _set(raw, key, value)
    return raw


def _with_inference(config: RunConfig, raw: dict[str, Any], overrides: Mapping[str, Any]) -> RunConfig:
    """The config with what its inference wants for its latent dimension, where nothing else was asked for."""
    for key, value in config.inference.settings_for(config.latent_dim).items():
        if key.split(".")[0] not in {given.split(".")[0] for given in overrides}:
            _set(raw, key, value)
    return parse_config(raw)


def _frozen(of: RunConfig) -> dict[str, Any]:
    """What a run on the frozen decoder of another takes over from it."""
    given = of.to_json()
    decoder = dict(given["decoder"] or given["net"])
    taken = {part: given[part] for part in ("latent_dim", "net", "prior", "likelihood") if part in given}
    return {**taken, "decoder": decoder, "freeze_decoder": True}


def _check_frozen(config: RunConfig, of: RunConfig) -> None:
    for part, wanted in (
        ("latent_dim", of.latent_dim),
        ("decoder", of.decoder or of.net),
        ("prior", of.prior),
        ("likelihood", of.likelihood),
    ):
        if getattr(config, part) != wanted:
            got = getattr(config, part)
            raise UserError(f"--decoder-from keeps the {part} of its run: wanted {wanted!r}, got {got!r}")


def _preset(name: str) -> dict[str, Any]:
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]


def _with_kind(part: NetConfig) -> dict[str, Any]:
    return {"kind": part.kind, **part.model_dump()}


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _set(raw: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key, or a plain name that only one setting has."""
    if key in {f"{part}.kind" for part in FREE}:
        raw[key.removesuffix(".kind")] = {"kind": value}
        return
    matches = [path for path in _leaves(_defaults_of(raw)) if key in (path, path.rsplit(".", 1)[-1])]
    exact = [path for path in matches if path == key] or matches
    if len(exact) > 1:
        raise UserError(f"setting '{key}' is ambiguous: write one of {', '.join(exact)}")
    if not exact:
        raise UserError(_wrong_key(key, raw))
    *parents, leaf = exact[0].split(".")
    node = raw
    for parent in parents:
        node = node.setdefault(parent, {})
    node[leaf] = value


def parse_settings(items: list[str]) -> dict[str, Any]:
    """['key=value', ...] -> {key: value}; a value is read as JSON where it is JSON, as text elsewhere."""
    out: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise UserError(f"wanted --set key=value, got '{item}'")
        try:
            out[key.strip()] = json.loads(text)
        except json.JSONDecodeError:
            out[key.strip()] = text
    return out
