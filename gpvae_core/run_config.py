"""The configuration of a training run: everything that decides it, frozen, JSON both ways."""

from __future__ import annotations

from collections.abc import Mapping
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

from gpvae_core.data.base import DataConfig
from gpvae_core.encoders.base import ENCODERS, EncoderConfig
from gpvae_core.inference.amortized import AmortizedConfig
from gpvae_core.inference.base import INFERENCES, InferenceConfig
from gpvae_core.likelihoods import LIKELIHOODS, LikelihoodConfig
from gpvae_core.methods import FAMILIES, get_method
from gpvae_core.nets.base import NETS, NetConfig
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
"""The parts of a run of which there are several kinds."""
CHOSEN_PARTS = ("net", "decoder", "prior", "likelihood")
"""The parts whose kind is a setting; the kinds of the others follow from the method."""


class TrainConfig(BaseModel):
    """Settings of the training loop."""

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


OMITTED_DEFAULTS: dict[str, PriorConfig | InferenceConfig] = {
    "prior": NormalPriorConfig(),
    "inference": AmortizedConfig(),
}
"""Parts that a run's JSON has only where they differ from these, as older runs were written without them."""


class RunConfig(BaseModel):
    """Everything that decides a run: its method and parts, data, networks, likelihood, training and seed.

    >>> from gpvae_core.config import make_config
    >>> from gpvae_core.data.base import DataConfig
    >>> make_config("gp", DataConfig(name="digits"), (1, 8, 8), {"epochs": 5}).train.epochs
    5
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    method: str
    data: DataConfig
    latent_dim: int = Field(default=2, ge=1, le=1024, description="latent dimensions, d")
    net: AnyNet
    decoder: AnyNet | None = None
    """The decoder's network where it is not of the encoder's kind, `net`."""
    prior: AnyPrior = NormalPriorConfig()
    """Prior of the latents: a map before the decoder, and with that a part of it."""
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
        """Return plain data, in which each part of several kinds has its kind beside its fields.

        The parts of OMITTED_DEFAULTS are left out where they have those values, so that a run's JSON stays what it was
        before there were others.
        """
        omitted = {name for name, plain in OMITTED_DEFAULTS.items() if getattr(self, name) == plain}
        out = self.model_dump(exclude=omitted)
        for part in PARTS:
            if out.get(part) is not None:
                out[part] = {"kind": getattr(self, part).kind, **out[part]}
        return out

    def build(self, event_shape: EventShape) -> VAE:
        """Build the untrained model; its random weights come from torch's global generator.

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
    """Return why a part or setting does not go with the inference of that method, named by the option for it."""
    if FLAGS.get(key) == "--method":
        return f"method '{method}': {inference} works with a plain encoder alone, got the {key} '{got}': leave it out"
    if key in FLAGS:
        return f"method '{method}' trains its decoder, as {inference} does: leave out {FLAGS[key]}"
    return f"method '{method}' works with --set {key}={wanted} alone, got {got}: leave it out"


def parse_config(raw: Mapping[str, Any]) -> RunConfig:
    """Return the RunConfig of plain data. Raises UserError naming the field, what was wanted and what came."""
    return parse_model(RunConfig, raw)


FLAGS = {
    "method": "--method",
    "name": "--dataset",
    "data.name": "--dataset",
    **{key: "--method" for part in FAMILIES for key in (part, f"{part}.kind")},
    "freeze_decoder": "--decoder-from",
}
"""Options of their own, by the keys that they decide and that are therefore no settings."""
