"""The configuration of a training run: a frozen model of all its settings, with conversion from and to JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from gpvae_core.data.auxiliary import Column
from gpvae_core.data.base import DataConfig
from gpvae_core.encoders.base import ENCODERS, EncoderConfig
from gpvae_core.inference.amortized import AmortizedConfig
from gpvae_core.inference.base import INFERENCES, InferenceConfig
from gpvae_core.likelihoods import LIKELIHOODS, LikelihoodConfig
from gpvae_core.methods import FAMILIES, get_method
from gpvae_core.model_size import LargestModel
from gpvae_core.nets.base import NETS, NetConfig
from gpvae_core.objectives.base import OBJECTIVES, ObjectiveConfig
from gpvae_core.objectives.elbo import ElboConfig
from gpvae_core.part import MOST, MOST_COUNT, MOST_SAMPLES, parse_model
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
"""Version of the run folder's format; loading a run with a higher one raises UserError."""


def _by_kind(registry: Registry[Any]) -> BeforeValidator:
    """Return a validator that turns {'kind': name, ...} into the config registered under that name."""

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
"""The registry of each part of a run that comes in several kinds."""
CHOSEN_PARTS = ("net", "decoder", "prior", "likelihood")
"""The parts whose kind is a setting; the method determines the kinds of the others."""


LATER_SETTINGS = (("lr_schedule", "constant"), ("clip", 0.0), ("kl_weight", 1.0))
"""Settings of training that came after runs had been written, with the defaults at which their JSON omits them."""


class TrainConfig(BaseModel):
    """Settings of the training loop.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> run.config.train.epochs
    1
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    epochs: int = Field(default=200, ge=1, le=MOST_COUNT, description="passes over the training images")
    batch_size: int = Field(default=128, ge=1, le=MOST_COUNT, description="images in a mini-batch")
    lr: float = Field(default=5e-4, gt=0, le=MOST, description="learning rate of Adam")
    lr_schedule: Literal["constant", "cosine"] = Field(
        default="constant",
        description="learning rate over training: constant, or cosine, by half of which it falls from lr to 0 over all "
        "epochs (a run trained longer takes the rate of its new number of epochs)",
    )
    clip: float = Field(
        default=0.0,
        ge=0,
        le=MOST,
        description="scales a tensor's gradient down to this many times its usual norm, by Adam's mean of squares, "
        "where it is larger, for example 5 at a high learning rate; 0 for no limit",
    )
    samples: int = Field(default=1, ge=1, le=MOST_SAMPLES, description="samples of z for each image and step")
    patience: int = Field(
        default=0,
        ge=0,
        le=MOST_COUNT,
        description="number of epochs without a better validation ELBO after which training stops, counted in the "
        "encoder's last stage and after the KL warm-up; 0: never",
    )
    kl_weight: float = Field(
        default=1.0,
        ge=0,
        le=MOST,
        description="weight of the KL term in the loss, the beta of a beta-VAE (Higgins et al. 2017); bounds are "
        "reported, and the epoch is chosen, with weight 1",
    )
    kl_warmup: int = Field(
        default=0,
        ge=0,
        le=MOST_COUNT,
        description="number of epochs over which the weight of the KL term grows from kl_start times kl_weight to "
        "kl_weight; 0: it is always kl_weight",
    )
    kl_start: float = Field(
        default=0.1, ge=0, le=1, description="share of kl_weight that the KL has in the first epoch of a warm-up"
    )
    keep_every: int = Field(
        default=0,
        ge=0,
        le=MOST_COUNT,
        description="interval, in epochs, at which weights are kept to inspect training; 0: never",
    )
    bfloat16: bool = Field(
        default=False, description="run the networks in bfloat16 by autocast (the GP algebra stays in float32)"
    )
    compile: bool = Field(
        default=False, description="compile the networks with torch.compile (needs a C++ compiler on CPU)"
    )

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave later settings out at their defaults, so that JSON and keys of sweeps stay from version to version."""
        return {key: value for key, value in dump(self).items() if (key, value) not in LATER_SETTINGS}


OMITTED_DEFAULTS: dict[str, PriorConfig | InferenceConfig] = {
    "prior": NormalPriorConfig(),
    "inference": AmortizedConfig(),
}
"""Defaults of the parts that a run's JSON omits: older runs were written before these parts existed."""


class RunConfig(BaseModel):
    """All settings of a run: its method and parts, data, networks, likelihood, training and seed.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> run.config.method, run.config.latent_dim, run.config.encoder.kind
    ('vae', 2, 'gaussian')
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    method: str
    data: DataConfig
    latent_dim: int = Field(default=2, ge=1, le=1024, description="latent dimensions, d")
    net: AnyNet
    decoder: AnyNet | None = None
    """The decoder's network if it differs in kind from the encoder's, `net`."""
    prior: AnyPrior = NormalPriorConfig()
    """Prior of the latents: the map from N(0, I) to the codes, composed with the decoder."""
    freeze_decoder: bool = False
    """Whether decoder and likelihood are kept frozen (`--decoder-from`)."""
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
        for part, expected in get_method(self.method).kinds().items():
            kind = getattr(self, part).kind
            if kind != expected:
                raise ValueError(f"method '{self.method}' has the {part} '{expected}', not '{kind}'")
        return self

    @model_validator(mode="after")
    def _inference_supports_the_settings(self) -> RunConfig:
        for key, required in self.inference.only.items():
            value = attrgetter(f"{key}.kind" if key in PARTS else key)(self)
            if value != required:
                raise ValueError(_unsupported(self.method, self.inference.method, key, required, value))
        return self

    @model_validator(mode="after")
    def _inference_takes_the_prior(self) -> RunConfig:
        if self.prior.over_instances and self.inference.only.get("prior") != self.prior.kind:
            raise ValueError(
                f"method '{self.method}' takes images one by one, and prior.kind={self.prior.kind} correlates them: "
                "leave it out, or take a method with such a prior, as svgp"
            )
        return self

    @model_validator(mode="after")
    def _networks_can_be_compiled(self) -> RunConfig:
        if self.train.compile and self.refiner.second_derivatives:
            raise ValueError(f"compile=true gives no second derivatives, which the refiner '{self.refiner.kind}' needs")
        return self

    def to_json(self) -> dict[str, JsonValue]:
        """Return the settings as plain data; each part that comes in several kinds has the entry 'kind'.

        Parts equal to their entry in OMITTED_DEFAULTS are left out, so that the JSON of a run without them stays the
        same from version to version.
        """
        omitted = {name for name, default in OMITTED_DEFAULTS.items() if getattr(self, name) == default}
        out = self.model_dump(exclude=omitted)
        for part in PARTS:
            if out.get(part) is not None:
                out[part] = {"kind": getattr(self, part).kind, **out[part]}
        return out

    def build(self, event_shape: EventShape, columns: Sequence[Column] = ()) -> VAE:
        """Build the untrained model for images of shape (C, H, W), with weights from torch's global generator.

        Args:
            columns: the auxiliary columns of the data, of which a GP prior is a function.

        Raises:
            UserError: the networks cannot be built for this shape or are too large, or the refiner does not fit the
                decoder.
        """
        with LargestModel():
            vae = VAE(
                self.prior.wrap((self.decoder or self.net).decoder(self.latent_dim, event_shape), self.latent_dim),
                self.likelihood.build(),
                self.encoder.build(self.net, event_shape, self.latent_dim),
                self.latent_dim,
                event_shape,
                self.refiner.build(self.net, event_shape, self.latent_dim),
                self.inference.extra(self.prior, columns, self.latent_dim),
            )
            self.inference.adapt(vae, self.net, self.decoder or self.net)
        self.regulariser.prepare(vae.encoder)
        vae.refiner.check(vae)
        if self.freeze_decoder:
            vae.decoder.requires_grad_(False)
            vae.likelihood.requires_grad_(False)
        return vae


def _unsupported(method: str, inference: str, key: str, required: Any, value: Any) -> str:
    """Return the message on a part or setting that the method's inference does not support, with its option."""
    if FLAGS.get(key) == "--method":
        return f"method '{method}': {inference} works only with a plain encoder, got the {key} '{value}': leave it out"
    if key in FLAGS:
        return f"method '{method}' trains its decoder, as {inference} does: leave out {FLAGS[key]}"
    if key in PARTS:
        return f"method '{method}' works only with --set {key}.kind={required}, got {value}"
    return f"method '{method}' works only with --set {key}={required}, got {value}: leave it out"


def parse_config(raw: Mapping[str, Any]) -> RunConfig:
    """Return the RunConfig that plain data describe. Raises UserError with the field, the expected and given value."""
    return parse_model(RunConfig, raw)


FLAGS = {
    "method": "--method",
    "name": "--dataset",
    "data.name": "--dataset",
    **{key: "--method" for part in FAMILIES for key in (part, f"{part}.kind")},
    "freeze_decoder": "--decoder-from",
}
"""The command-line option that sets each of these keys, which `--set` therefore does not take."""
