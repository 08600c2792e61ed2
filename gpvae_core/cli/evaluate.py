"""`gpvae evaluate RUN`: bounds, log p(x) and gaps on the test set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from gpvae_core.cli.evaluate_conditional import evaluate_at_columns
from gpvae_core.cli.options import given_path
from gpvae_core.cli.output import JsonFile, announced, check_files, put_json, say
from gpvae_core.cli.table import show
from gpvae_core.errors import UserError, unknown
from gpvae_core.formatting import number, rounded
from gpvae_core.part import MOST_COUNT, MOST_POINTS, MOST_SAMPLES
from gpvae_core.progress import terminal_note, terminal_progress
from gpvae_core.terminal import printable

if TYPE_CHECKING:
    from gpvae_core.evaluation.mean import Mean
    from gpvae_core.evaluation.parts import Correlation
    from gpvae_core.evaluation.result import Evaluation
    from gpvae_core.truth.ais import AISSettings
    from gpvae_core.truth.mixture_proposal import MixtureProposalSettings


def command(
    run: Annotated[Path, typer.Argument(parser=given_path, help="Folder of a trained run.")],
    split: Annotated[
        str,
        typer.Option(
            help="Images to evaluate: test, validation, or train (not of a run with a GP prior), which also gives the "
            "generalization gap."
        ),
    ] = "test",
    k: Annotated[
        int,
        typer.Option(
            min=1,
            max=MOST_COUNT,
            help="Number of importance samples of the IWAE bound, or of predictive samples of a run with a GP prior.",
        ),
    ] = 100,
    instances: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=MOST_POINTS,
            help="Size of the seeded sample for log p(x) and gaps.  [default: all of up to 500, else 200; none of a "
            "run with a GP prior over images]",
        ),
    ] = None,
    truths: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=MOST_POINTS,
            help="Size of the sample for the true posterior (d = 2), if larger.  [default: 1000]",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the sample and the noise.")] = 0,
    bandwidth: Annotated[
        str, typer.Option(help="Width of MAPA's kernel: sigma_x, or validation (highest validation likelihood).")
    ] = "sigma_x",
    refiner: Annotated[
        str | None,
        typer.Option(
            help="Refiner of q(z|x), such as svi:8, svi:8,step_size=0.05 or none; see `gpvae list refiners`.  "
            "[default: the run's own]"
        ),
    ] = None,
    truth: Annotated[
        str,
        typer.Option(
            help="Estimator of log p(x): line (d = 1), grid (d = 2), ais, iwae, or auto (by d, ais if d > 2)."
        ),
    ] = "auto",
    ais_steps: Annotated[
        int | None,
        typer.Option("--ais-steps", min=2, max=MOST_COUNT, help="Number of temperatures of ais.  [default: 30]"),
    ] = None,
    ais_chains: Annotated[
        int | None,
        typer.Option("--ais-chains", min=2, max=MOST_SAMPLES, help="Number of chains of ais per image.  [default: 64]"),
    ] = None,
    simulated: Annotated[
        int,
        typer.Option(
            min=0,
            max=MOST_COUNT,
            help="Number of images to simulate, to bound their log p(x) from both sides (0, or at least 2).",
        ),
    ] = 0,
    hmc: Annotated[
        int,
        typer.Option(
            min=0,
            max=MOST_COUNT,
            help="Number of instances whose posteriors are sampled by HMC and compared with the encoder's.",
        ),
    ] = 0,
    hmc_draws: Annotated[
        int | None,
        typer.Option(
            "--hmc-draws", min=4, max=MOST_COUNT, help="Number of draws of each of the 4 HMC chains.  [default: 1000]"
        ),
    ] = None,
    mixture: Annotated[
        bool,
        typer.Option(
            "--mixture",
            help="Also estimate log p(x) by a mixture of 50 Gaussians fitted to the frozen model, on the sample of "
            "--instances.",
        ),
    ] = False,
    mixture_samples: Annotated[
        int | None,
        typer.Option(
            "--mixture-samples",
            min=1,
            max=MOST_POINTS,
            help="Number of samples of --mixture's bound.  [default: 20000]",
        ),
    ] = None,
    mixture_epochs: Annotated[
        int | None,
        typer.Option(
            "--mixture-epochs", min=0, max=MOST_COUNT, help="Number of epochs of the mixture's fit.  [default: 100]"
        ),
    ] = None,
    as_published: Annotated[
        bool,
        typer.Option(
            "--as-published",
            help="Of a run with a GP prior over images, also the smallest error on the test set over the epochs kept "
            "by train.keep_every.",
        ),
    ] = False,
    hide: Annotated[
        str,
        typer.Option(
            help="Of a run whose prior has groups, such as videos, the frames of each that are hidden from it and "
            "scored: none, second (every second frame), middle or last (a third)."
        ),
    ] = "none",
    device: Annotated[
        str | None, typer.Option(help="Compute on cpu, cuda or mps.  [default: the fastest available]")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    out: JsonFile = None,
) -> None:
    """Compute bounds on log p(x), log p(x) itself, the best Gaussian and the gaps, in nats, with standard errors.

    With 1 or 2 latent dimensions, log_px is computed by quadrature (log_px.truth is 'line' or 'grid'). With more, it is
    a lower bound by annealed importance sampling with Hamiltonian Monte Carlo from the best Gaussian (log_px.truth is
    'ais'), or by plain importance sampling with --truth iwae. Then log_px.estimator_se is the standard error of one
    instance's log p(x), and the inference and approximation gaps are lower bounds as well.

    The approximation and amortization gaps refer to the best diagonal Gaussian, whatever the encoder's family. A richer
    family can exceed its ELBO; the amortization gap is then negative.

    The option --simulated shows how tight such a bound is: for images drawn from the model a latent is known, from
    which reverse chains give an upper bound. Both bounds hold in expectation; for real images their gap is a guide.

    A run with a GP prior over images predicts images at auxiliary data of their own, given the training images or the
    frames of the same group: it is scored by mean square errors of a pixel, the negative log predictive density by
    --k samples and the coverage of 95 % intervals, beside the mean image and the nearest training view. A video is
    predicted given all its frames, unless some are hidden by --hide; then these are scored. With
    --instances N, these are measured instance by instance: how many views carry a prediction, the gap in nats of the
    encoder's pseudo-observations to those optimised for one video or training image, and how far q(z) of svgp moves
    with the mini-batch. --as-published is the smallest error over training, chosen on the test set itself.

    --split train evaluates the training images and, beside them, the ELBO of the test images: the difference is the
    generalization gap, by which an encoder or a decoder that overfits is known.

    density is the mean log p(x), by quadrature with 1 latent dimension, and by the estimator of Yacoby et al. 2024 with
    --mixture, a lower bound at any dimension. test_kl is the KL from the true distribution, for synthetic data whose
    distribution is known; by --mixture it is an upper bound in expectation. passes are the decoder and encoder passes
    per point of a training step.

    Examples:

    gpvae evaluate runs/digits-gp-d2-s0 --json

    gpvae evaluate runs/digits-vae-d2-s0 --refiner svi:8,step_size=0.05

    gpvae evaluate runs/digits-vae-d2-s0 --split train

    gpvae evaluate runs/figure-8-mapa-d1-s0 --mixture --mixture-samples 20000

    gpvae evaluate runs/mnist-gp-d10-s0 --simulated 50 --hmc 10 --hmc-draws 2000

    gpvae evaluate runs/moving-ball-svgp-15-d2-s0 --k 10 --instances 5

    gpvae evaluate runs/moving-ball-svgp-15-d2-s0 --k 10 --hide middle
    """
    with terminal_note(f"loading '{run}'"):  # which imports torch first
        from gpvae_core.evaluation.evaluate import evaluate
        from gpvae_core.evaluation.hidden_frames import HIDDEN
        from gpvae_core.evaluation.settings import GRID_SAMPLE, HELD_OUT, SAMPLING, SPLITS, EvaluationSettings
        from gpvae_core.part import parse_model
        from gpvae_core.run_summaries import summarize
        from gpvae_core.runs import load_run
        from gpvae_core.truth.settings import TruthSettings
        from gpvae_core.truth.truth import resolved_name

        if split not in SPLITS:
            raise UserError(f"wanted --split test, validation or train, got '{split}'")
        if hide not in HIDDEN:
            raise unknown("frames to hide", hide, HIDDEN)
        check_files(out)
        loaded = load_run(run, device=device, refiner=refiner)
        partial = summarize(loaded.dir).partial
    remarks = [f"'{run}' is {partial}: these are results of a training that has not ended"] if partial else []
    if loaded.config.inference.conditional:
        if split not in HELD_OUT:
            raise UserError(
                f"a run with a GP prior predicts held-out images: wanted --split test or validation, got '{split}'"
            )
        given = {
            "--truths": truths,
            "--refiner": refiner,
            "--truth": None if truth == "auto" else truth,
            "--bandwidth": None if bandwidth == "sigma_x" else bandwidth,
            "--simulated": simulated or None,
            "--hmc": hmc or None,
            "--mixture": mixture or None,
        }
        _refuse_without_effect(
            {
                name: (value, False, "log p(x) of single images, which no run with a GP prior has")
                for name, value in given.items()
            }
        )
        if as_published and split != "test":
            raise UserError(f"--as-published is a figure of the test images: wanted no --split {split}")
        evaluate_at_columns(loaded, split, k, seed, instances, as_published, hide, remarks, json_, out)
        return
    estimator = resolved_name(truth, loaded.model.latent_dim)
    _refuse_without_effect(
        {
            "--hmc-draws": (hmc_draws, hmc > 0, "--hmc"),
            "--ais-steps": (ais_steps, estimator == "ais" or simulated > 0, "--truth ais or --simulated"),
            "--ais-chains": (ais_chains, estimator == "ais" or simulated > 0, "--truth ais or --simulated"),
            "--mixture-samples": (mixture_samples, mixture, "--mixture"),
            "--mixture-epochs": (mixture_epochs, mixture, "--mixture"),
            "--truths": (truths, estimator == "grid", "2 latent dimensions and --truth grid"),
            "--as-published": (as_published or None, False, "a GP prior over images"),
            "--hide": (None if hide == "none" else hide, False, "series of images, such as videos"),
        }
    )
    chosen = {
        "split": split,
        "instances": instances,
        "k": k,
        "seed": seed,
        "truths": truths or GRID_SAMPLE,
        "bandwidth": bandwidth,
        "truth": parse_model(TruthSettings, {"name": truth, "annealing": _annealing(ais_steps, ais_chains)}),
        "simulated": simulated,
        "hmc": hmc,
        "sampling": SAMPLING.model_dump() | ({} if hmc_draws is None else {"draws": hmc_draws}),
        "mixture": _mixture(mixture_samples, mixture_epochs) if mixture else None,
    }
    with terminal_progress() as progress:
        result = evaluate(loaded, parse_model(EvaluationSettings, chosen), announced(progress, remarks))
    if not put_json(result.to_json(), json_, out):
        _print(result)


def _refuse_without_effect(options: Mapping[str, tuple[object, bool, str]]) -> None:
    """Raise UserError for an option that is given but has no effect.

    Args:
        options: for each option its value, whether it has an effect, and what it needs to have one.
    """
    for name, (value, effective, requirement) in options.items():
        if value is not None and not effective:
            raise UserError(f"{name} has no effect without {requirement}")


def _mixture(samples: int | None, epochs: int | None) -> MixtureProposalSettings:
    from gpvae_core.part import parse_model
    from gpvae_core.truth.mixture_proposal import PAPER, MixtureProposalSettings

    given = {"bound_samples": samples, "epochs": epochs}
    changed = {name: value for name, value in given.items() if value is not None}
    return parse_model(MixtureProposalSettings, PAPER.model_dump() | changed)


def _annealing(steps: int | None, chains: int | None) -> AISSettings:
    from gpvae_core.part import parse_model
    from gpvae_core.truth.ais import AISSettings
    from gpvae_core.truth.settings import ANNEALING

    given = {"steps": steps, "chains": chains}
    changed = {name: value for name, value in given.items() if value is not None}
    return parse_model(AISSettings, ANNEALING.model_dump() | changed)


def _label(name: str, value: Mean) -> str:
    """Return the row's name, marked if the gap refers to the best diagonal Gaussian."""
    from gpvae_core.evaluation.sample import DIAGONAL

    return f"{name} (diagonal)" if getattr(value, "reference", "") == DIAGONAL else name


def _unit(name: str) -> str:
    """Return the unit of a mean, by its dotted name; nats unless listed here."""
    units = {"n_modes": "count", "hmc.ess": "count", "hmc.mean_distance": "sd", "hmc.r_hat": "", "hmc.std_ratio": ""}
    return units.get(name, "latent²" if name.startswith("uncertainty.") else "nats")


def _correlations(correlations: Mapping[str, Mapping[str, Correlation]]) -> Table:
    """Return a table of Spearman's rho for each trace of the uncertainty, as '0.16 (0.05 to 0.26)'."""
    table = Table(title="Spearman's rho of the GP encoder's uncertainty with ... (95 % bootstrap interval)")
    for column in ("quantity", "with", "rho", "n"):
        table.add_column(column, justify="left" if column in ("quantity", "with") else "right")
    traces = {"f": "Tr V[f]", "h": "Tr V[h]", "total": "their sum"}
    targets = {name: f"{name} gap" for name in ("inference", "approximation", "amortization")}
    targets["n_modes"] = "number of modes"
    for trace, entries in correlations.items():
        for target, entry in entries.items():
            table.add_row(escape(traces[trace]), targets.get(target, target), _interval(entry), str(entry.n))
        table.add_section()
    return table


def _interval(entry: Correlation) -> str:
    if entry.rho is None:
        return "not defined"
    return f"{rounded(entry.rho, 2)} ({rounded(entry.low, 2)} to {rounded(entry.high, 2)})"


def _print(result: Evaluation) -> None:
    from gpvae_core.evaluation.words import (
        chains_in_words,
        collapse_in_words,
        density_in_words,
        generalization_in_words,
        sizes_in_words,
        truth_in_words,
    )

    table = Table(title=escape(printable(f"{result.run} on {result.dataset} ({result.split})")))
    for column in ("quantity", "mean", "standard error", "n", "unit"):
        table.add_column(column, justify="left" if column in ("quantity", "unit") else "right")
    for name, value in result.means():
        if value.mean is not None:
            table.add_row(_label(name, value), number(value.mean), number(value.se), str(value.n), _unit(name))
    show(table)
    if result.correlations:
        show(_correlations(result.correlations))
    active = result.active_units
    collapsed = collapse_in_words(active.variance, result.collapse.moment_kl)
    for line in [
        *generalization_in_words(result.generalization),
        *sizes_in_words(result.sample),
        f"active latent dimensions: {rounded(active.count, 0)} of {active.of}; {collapsed}",
        f"log p(x) by {truth_in_words(result.log_px)}",
        *density_in_words(result),
        "gaps marked (diagonal): the reference is the best diagonal Gaussian, whatever the encoder's family",
        *chains_in_words(result.bidirectional, result.hmc),
        *result.warnings(),
    ]:
        say(line)
