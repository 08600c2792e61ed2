"""The result of one job of a sweep, as plain data; torch is not imported."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gpvae_core.run_records import Count, Nats
from gpvae_core.sweep.scores import Score, score_of

REQUIRED = ("validation_elbo", "test_iwae", "test_mse")
"""Measurements that are always finite; others are undefined where no sample is valid."""


@dataclass(frozen=True)
class Result:
    """One job of a sweep: a training and its score. Fields that are not known yet are None."""

    key: str
    setup: str
    dataset: str
    method: str
    latent_dim: Count
    decoder: str
    """Kind of the decoder's network."""
    split: Count
    restart: Count
    status: str
    """'planned', 'running', 'done' or 'failed'."""
    message: str | None
    """One line on why the job failed."""
    folder: str
    """Name of the run folder, below runs/."""
    epochs_wanted: Count
    k: Count
    """Number of importance samples of the IWAE score."""
    cost_key: str
    started: str | None
    finished: str | None
    validation_elbo: Nats | None
    """Validation ELBO of the best epoch, nats, by which a restart is chosen."""
    test_iwae: Nats | None
    """Mean IWAE bound over the test images, nats: the paper's 'test log-likelihood score'. None for models of images
    given their columns."""
    test_iwae_se: Nats | None
    test_elbo: Nats | None
    test_elbo_se: Nats | None
    test_images: Count | None
    epochs: Count | None
    best_epoch: Count | None
    parameters: Count | None
    train_seconds: Nats | None
    score_seconds: Nats | None
    device: str | None
    note: str | None
    """A remark on the images, such as that they are a subset."""
    versions: dict[str, str] | None
    validation_log_px: Nats | None = None
    """Mean log p(x) over the validation points, nats, by quadrature; it chooses the restart if the true distribution is
    known. This and all further fields are None in older results, and where they are undefined."""
    test_log_px: Nats | None = None
    """Mean log p(x) over the test points, nats, by quadrature."""
    test_kl: Nats | None = None
    """KL[p_GT || p_model] over the test points, nats."""
    test_kl_se: Nats | None = None
    decoder_passes: Nats | None = None
    """Decoder passes per point of a training step."""
    encoder_passes: Nats | None = None
    """Encoder passes per point of a training step."""
    truth: str | None = None
    """Estimator of log p(x) of a seeded sample of test images: 'line', 'grid', 'ais' or 'iwae'; None if it was not
    estimated (evaluate.truths in the sweep file)."""
    truth_log_px: Nats | None = None
    """Mean log p(x) over that sample, nats; at d > 2 a lower bound in expectation."""
    truth_log_px_se: Nats | None = None
    """Standard error of that mean over images, nats."""
    truth_error: Nats | None = None
    """Root mean square of the standard errors of single images, nats; None for quadrature."""
    truth_images: Count | None = None
    """Number of images of the sample."""
    truth_untrusted: Count | None = None
    """Number of images of the sample whose log p(x) is unreliable."""
    inference: str = ""
    """Kind of the run's inference, which decides what its score is."""
    test_mse: Nats | None = None
    """Of models of images given their columns, mean square error of a pixel of the decoded mean of the latents. This
    and the further fields are those of `ConditionalEvaluation`, on the test images."""
    test_mse_se: Nats | None = None
    test_mse_sample: Nats | None = None
    """The same, of one decoded sample of the latents."""
    test_mse_sample_se: Nats | None = None
    test_nlpd: Nats | None = None
    """Negative log predictive density of an image in nats, by `k` samples."""
    test_nlpd_se: Nats | None = None
    test_coverage: Nats | None = None
    """Share of an image's pixels in their central 95 % predictive intervals, by `k` samples."""
    test_coverage_se: Nats | None = None
    path_rmse: Nats | None = None
    """Root mean square error of the latents to a known path after one affine fit, in its units."""
    test_mse_published: Nats | None = None
    """The figure as the papers give it: the smallest test error of the kept epochs, of a decoded sample, or of the mean
    where the method decodes means. None where no epoch was kept."""
    published_epoch: Count | None = None
    """The epoch of that figure."""

    @property
    def score(self) -> Score:
        """The score by which results of its kind are compared."""
        return score_of(self.inference)

    @property
    def test_score(self) -> float:
        """The mean of `score` over the test images, in its unit; NaN if it is not known."""
        value = getattr(self, self.score.field)
        return math.nan if value is None else value


MEASURED = (
    *("validation_elbo", "test_iwae", "test_iwae_se", "test_elbo", "test_elbo_se", "test_images", "epochs"),
    *("best_epoch", "parameters", "train_seconds", "score_seconds", "device", "note", "versions"),
    *("validation_log_px", "test_log_px", "test_kl", "test_kl_se", "decoder_passes", "encoder_passes"),
    *("truth", "truth_log_px", "truth_log_px_se", "truth_error", "truth_images", "truth_untrusted"),
    *("test_mse", "test_mse_se", "test_mse_sample", "test_mse_sample_se", "test_nlpd", "test_nlpd_se"),
    *("test_coverage", "test_coverage_se", "path_rmse", "test_mse_published", "published_epoch"),
)
"""Fields of a `Result` that a finished job returns."""
PLANNED = (
    *(
        "key",
        "dataset",
        "method",
        "latent_dim",
        "decoder",
        "inference",
        "split",
        "restart",
        "status",
        "message",
        "folder",
        "epochs_wanted",
    ),
    *("k", "cost_key", "started", "finished"),
)
