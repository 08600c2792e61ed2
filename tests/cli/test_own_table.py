"""From a user's own CSV with gaps to predictions at missing times, by commands alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.commands import Done, gpvae
from tests.data.makers import encode

SIDE, FRAMES = 8, 16
PARTS = ["train"] * 8 + ["validation"] * 2 + ["test"] * 2
"""Of each video."""


def picture(video: int, time: float) -> NDArray[np.float64]:
    """A lamp that turns on and off, the truth of every frame, (H, W) in [0, 1]."""
    brightness = 0.5 + 0.4 * np.sin(time + video)
    return np.outer(np.linspace(0.3, 1.0, SIDE), np.ones(SIDE)) * brightness


def lit(video: int, time: float) -> NDArray[np.float64]:
    """A lamp whose brightness is its own and falls with time as in all videos, (H, W) in [0, 1]."""
    return np.outer(np.linspace(0.3, 1.0, SIDE), np.ones(SIDE)) * (0.3 + 0.06 * video) * (1 - 0.08 * time)


Picture = Callable[[int, float], NDArray[np.float64]]


def write_table(folder: Path, part_of: Callable[[int, int], str], picture: Picture) -> None:
    """Write videos of frames at irregular times; every fourth frame is missing, and of others a corner is transparent.

    Args:
        part_of: the split of the frame of a number in a video.
        picture: the frame of a video at a time.
    """
    rng, rows = np.random.default_rng(0), ["frame:image,time:number(unit=s),video:category,split"]
    for video in range(len(PARTS)):
        for number, time in enumerate(np.sort(rng.uniform(0, 9, FRAMES))):
            path = "" if number % 4 == 2 else f"video-{video}-{number}.png"
            rows.append(f"{path},{time:.6f},v{video},{part_of(video, number)}")
            if path:
                opacity = np.full((SIDE, SIDE), 255)
                if number % 4 == 0:
                    opacity[:4, :4] = 0
                grey = np.round(255 * picture(video, time))
                layers = [grey, grey, grey, opacity]
                (folder / path).write_bytes(encode(np.stack(layers, -1).astype(np.uint8)))
    (folder / "mine.csv").write_text("\n".join(rows) + "\n")


def done(*arguments: str, cwd: Path) -> Done:
    found = gpvae(*arguments, cwd=cwd)
    assert found.returncode == 0, found.stderr
    return found


def truth(times: NDArray[np.float64], videos: NDArray[np.str_], picture: Picture = picture) -> NDArray[np.float64]:
    return np.stack([picture(int(video[1:]), time) for time, video in zip(times, videos, strict=True)])


def test_from_a_csv_with_gaps_to_predictions_at_missing_times(tmp_path: Path) -> None:
    table = tmp_path
    write_table(table, lambda video, number: PARTS[video], picture)
    settings = ["prior.kernel=matern(time, nu=1.5, length_scale=2)", "prior.group=video", "net.kind=fc"]
    settings += ["net.hidden=16", "batch_size=32", "lr=0.01", "likelihood.kind=gaussian"]
    given = [part for setting in settings for part in ("--set", setting)]
    train = ["train", "--method", "markov", "--dataset", "table:mine.csv", "--out", "run", "--epochs", "40"]
    said = done(*train, *given, cwd=table)
    assert "48 of 192 frames are missing and pixels are missing in 48 of 192 frames" in said.stderr

    result = json.loads(done("evaluate", "run", "--k", "20", "--json", cwd=table).stdout)
    assert result["unscored"] == 8
    assert result["mse"]["n"] == 24
    assert result["mse"]["mean"] < 0.5 * result["yardsticks"]["mean_image"]["mean"]
    said = done("evaluate", "run", "--k", "2", cwd=table)
    assert "8 missing frames are predicted, but have no pixel to be scored" in said.stdout
    hidden = json.loads(done("evaluate", "run", "--k", "2", "--hide", "second", "--json", cwd=table).stdout)
    assert result["mse"]["mean"] < hidden["mse"]["mean"] < 0.7 * hidden["yardsticks"]["mean_image"]["mean"]

    said = done("impute", "run", "--out", "filled.npz", cwd=table)
    assert "filled.npz: 32 images; 8 missing frames and 31.2% of all pixels are filled in" in said.stdout
    filled = np.load(table / "filled.npz")
    there = filled["observed"]
    expected = truth(filled["column_time"], filled["column_video"])
    np.testing.assert_allclose(filled["images"][:, 0][there], expected[there], atol=0.5 / 255 + 1e-6)
    missing = np.square(filled["images"][:, 0] - expected)[~there].mean()
    assert missing < 0.5 * result["yardsticks"]["mean_image"]["mean"]
    assert (filled["std"][:, 0][~there] > 0).all()
    assert (filled["std"][:, 0][there] == 0).all()

    # A time within the video, a time long after its end, and a column that the model does not know.
    (table / "at.csv").write_text("note,video,time\n,v10,4.5\n,v10,40\n,v3,4.5\n")
    said = done("predict", "run", "--at", "at.csv", "--out", "at.npz", "--k", "50", cwd=table)
    assert "at.npz: 3 images predicted at the rows of at.csv" in said.stdout
    at = np.load(table / "at.npz")
    assert at["images"].shape == at["std"].shape == (3, 1, SIDE, SIDE)
    assert (at["latent_variances"][1] > 1.5 * at["latent_variances"][0]).all()
    assert at["std"][1].mean() > at["std"][0].mean()
    near = np.square(at["images"][[0, 2], 0] - truth(np.array([4.5, 4.5]), np.array(["v10", "v3"]))).mean()
    assert near < 0.5 * result["yardsticks"]["mean_image"]["mean"]
    refused(table)


def test_from_a_csv_with_gaps_to_predictions_of_a_conditional_vae(tmp_path: Path) -> None:
    """The frames of each video are in all splits, so that the brightness of its lamp is known."""
    parts = {5: "validation", 8: "test", 10: "test", 11: "test"}
    write_table(tmp_path, lambda video, number: parts.get(number, "train"), lit)
    given = [
        part for setting in ("net.kind=fc", "net.hidden=32", "batch_size=32", "lr=0.01") for part in ("--set", setting)
    ]
    train = ["train", "--method", "cvae", "--dataset", "table:mine.csv", "--out", "run", "--epochs", "150"]
    done(*train, *given, "--set", "likelihood.kind=gaussian", cwd=tmp_path)

    result = json.loads(done("evaluate", "run", "--k", "20", "--json", cwd=tmp_path).stdout)
    assert (result["unscored"], result["mse"]["n"]) == (12, 24)
    assert result["given"] == "the training images of the same video"
    mean_image = result["yardsticks"]["mean_image"]["mean"]
    assert result["mse"]["mean"] < 0.2 * mean_image

    said = done("impute", "run", "--out", "filled.npz", cwd=tmp_path)
    assert "filled.npz: 36 images; 12 missing frames and 41.7% of all pixels are filled in" in said.stdout
    filled = np.load(tmp_path / "filled.npz")
    expected, there = truth(filled["column_time"], filled["column_video"], lit), filled["observed"]
    np.testing.assert_allclose(filled["images"][:, 0][there], expected[there], atol=0.5 / 255 + 1e-6)
    errors = np.square(filled["images"][:, 0] - expected)
    corner = ~there & there.any((1, 2))[:, None, None]
    # What is seen of a picture tells how bright its corner is.
    assert errors[corner].mean() < 0.1 * mean_image
    assert errors[~there].mean() < 0.2 * mean_image
    assert ((filled["std"][:, 0] > 0) == ~there).all()

    (tmp_path / "at.csv").write_text("note,video,time\n,v10,4.5\n,v3,4.5\n")
    done("predict", "run", "--at", "at.csv", "--out", "at.npz", "--k", "50", cwd=tmp_path)
    at = np.load(tmp_path / "at.npz")
    assert set(at) == {"images", "std", "latents", "latent_variances", "rests_on_none"}
    assert at["images"].shape == at["std"].shape == (2, 1, SIDE, SIDE)
    expected = truth(np.array([4.5, 4.5]), np.array(["v10", "v3"]), lit)
    assert np.square(at["images"][:, 0] - expected).mean() < 0.2 * mean_image
    (tmp_path / "less.csv").write_text("video\nv3\n")
    found = gpvae("predict", "run", "--at", "less.csv", "--out", "new.npz", cwd=tmp_path)
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert "wanted values of column 'time', on which run 'run' depends" in found.stderr
    (tmp_path / "less.csv").write_text("video;time\nv3;4,5\n")
    found = gpvae("predict", "run", "--at", "less.csv", "--out", "new.npz", cwd=tmp_path)
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert "are they separated by semicolons?" in found.stderr


def test_whole_numbers_that_may_be_times_are_no_categories_by_a_guess(tmp_path: Path) -> None:
    write_table(tmp_path, lambda video, number: PARTS[video], picture)
    rows = [line.split(",") for line in (tmp_path / "mine.csv").read_text().splitlines()]
    place = [name.partition(":")[0] for name in rows[0]].index("time")
    train = ["train", "--method", "svgp:4", "--set", "net.kind=fc", "--set", "net.hidden=8", "--epochs", "1"]
    train += ["--dataset", "table:whole.csv", "--set", "prior.group=video", "--out", "run", "--set"]
    for heading, kernel, cell, line in [
        (
            "time",
            "rbf(time)",
            "{}",
            "column 'time' has 6 different values such as '0', which were taken for categories",
        ),
        ("time", "rbf(time)", "{}", "'time:number' in the table's header, or 'time:category' if that is meant"),
        ("time", "rbf(time)", "2024-01-0{}", "has 6 different values such as '2024-01-00'"),
        ("time:category", "rbf(time, dim=2)", "{}", ""),
        ("time:number", "rbf(time)", "{}", ""),
    ]:
        rows[0][place] = heading
        for number, row in enumerate(rows[1:]):
            row[place] = cell.format(number % 6)
        (tmp_path / "whole.csv").write_text("\n".join(",".join(row) for row in rows))
        found = gpvae(*train, f"prior.kernel={kernel}", cwd=tmp_path)
        assert (found.returncode, line in found.stderr) == (2 if line else 0, True), found.stderr
        assert (tmp_path / "run").exists() == (not line)
        shutil.rmtree(tmp_path / "run", ignore_errors=True)


def test_there_is_nothing_to_fill_in_where_all_pixels_are_there(tmp_path: Path) -> None:
    small = ["--epochs", "1", "--set", "net.kind=fc", "--set", "net.hidden=8", "--out", "run"]
    done("train", "--method", "svgp:4", "--dataset", "moving-ball:2", *small, cwd=tmp_path)
    found = gpvae("impute", "run", "--out", "filled.npz", cwd=tmp_path)
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert "there is nothing to fill in: no pixel of the test images of 'run' is missing" in found.stderr
    assert not (tmp_path / "filled.npz").exists()


def refused(table: Path) -> None:
    """What is wrong is one line, and no file is overwritten or left behind."""
    files = {path.name: path.read_bytes() for path in table.glob("*.npz")}
    (table / "bad.csv").write_text("video,time\nv3,noon\n")
    (table / "who.csv").write_text("video,time\nv77,1\n")
    (table / "less.csv").write_text("video\nv3\n")
    for arguments, line in [
        (["impute", "run", "--out", "filled.npz"], "'filled.npz' exists already: choose another file (--out)"),
        (["predict", "run", "--at", "at.csv", "--out", "at.npz"], "'at.npz' exists already"),
        (["impute", "run", "--out", "new.csv"], "wanted --out FILE.npz, got 'new.csv'"),
        (["impute", "run", "--out", "new.npz", "--split", "tset"], "unknown split 'tset'; did you mean 'test'"),
        (["predict", "run", "--at", "bad.csv", "--out", "new.npz"], "'bad.csv', row 2: 'noon' in column 'time' is not"),
        (["predict", "run", "--at", "who.csv", "--out", "new.npz"], "unknown video 'v77'; did you mean 'v7'"),
        (["predict", "run", "--at", "less.csv", "--out", "new.npz"], "wanted values of column 'time'"),
        (["predict", "run", "--at", "no.csv", "--out", "new.npz"], "no.csv"),
        (["predict", "run", "--at", "run", "--out", "new.npz"], "'run': wanted a table, which ends in .csv"),
        (["train", "--method", "vae", "--dataset", "table:mine.csv"], "or take one of cvae, deep-svigp"),
    ]:
        found = gpvae(*arguments, cwd=table)
        assert found.returncode == 2, arguments
        assert line in found.stderr
        assert found.stderr.count("\n") == 1, found.stderr
    assert {path.name: path.read_bytes() for path in table.glob("*.npz")} == files
