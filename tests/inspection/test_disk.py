"""What is kept in the run folder: read back the same, computed again where it cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gpvae_core.inspection import stages
from gpvae_core.inspection.disk import FILES_PER_STAGE, DiskCache, fingerprint
from gpvae_core.inspection.explorer import Explorer
from gpvae_core.runs import Run


def everything(explorer: Explorer) -> dict[str, np.ndarray]:
    """Numbers from every stage."""
    explorer.prepare()
    view, u = explorer.map_view(), explorer.uncertainty_view(explorer.instance(0))
    assert view.gap is not None
    assert u is not None
    shapes = explorer.posterior_view(explorer.instance(int(np.flatnonzero(np.isfinite(view.gap))[0]))).gaussians
    return {
        "xy": view.xy,
        "gap": view.gap,
        "f": u.all_trace_f,
        "rho": np.array([c.rho for c in u.correlations]),
        "best": np.concatenate([s.covariance.ravel() for s in shapes]),
        "mapa": explorer.posterior_view(explorer.instance(0)).mapa_points,
        "new": explorer.place_on_map(explorer.place(explorer.run.data.test.pixels([3])[0] * 0.9, "drawn")),
    }


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the computations that were really done."""
    done: list[str] = []
    for name in ("encode", "gaps_and_best"):
        original = getattr(stages, name)

        def count(
            *args: object, _original: Callable[..., object] = original, _name: str = name, **kw: object
        ) -> object:
            done.append(_name)
            return _original(*args, **kw)

        monkeypatch.setattr(stages, name, count)
    return done


def test_the_second_time_is_read_and_identical(digits_run: Callable[..., Run], counted: list[str]) -> None:
    run = digits_run(n_test=12)
    first = everything(Explorer(run, gap_sample=4))
    assert sorted(counted) == ["encode", "encode", "gaps_and_best"]
    counted.clear()
    same(first, everything(Explorer(run, gap_sample=4)))
    assert counted == []


@pytest.mark.parametrize("damage", ["truncated", "foreign", "garbled", "empty"])
def test_a_damaged_file_is_computed_again(digits_run: Callable[..., Run], counted: list[str], damage: str) -> None:
    run = digits_run(n_test=12)
    first = everything(Explorer(run, gap_sample=4))
    files = sorted((run.dir / "explore").glob("*.npz"))
    assert [file.name.split("-")[0] for file in files] == ["codes", "encodings", "gaps", "map"]
    contents = [file.read_bytes() for file in files]
    for i, file in enumerate(files):
        middle = len(contents[i]) // 2
        file.write_bytes(
            {
                "truncated": contents[i][:middle],
                "foreign": contents[i - 1],
                "garbled": contents[i][:middle] + bytes(64) + contents[i][middle + 64 :],
                "empty": b"",
            }[damage]
        )
    counted.clear()
    same(first, everything(Explorer(run, gap_sample=4)))
    assert sorted(counted) == ["encode", "encode", "gaps_and_best"]
    assert [len(file.read_bytes()) for file in files] == [len(content) for content in contents]


def test_other_weights_or_settings_do_not_share_files(digits_run: Callable[..., Run]) -> None:
    run, other = digits_run(n_test=12, seed=0), digits_run(n_test=12, seed=1)
    assert run.dir == other.dir
    assert fingerprint(run.model) != fingerprint(other.model)
    a, b = everything(Explorer(run, gap_sample=4)), everything(Explorer(other, gap_sample=4))
    assert not np.array_equal(a["xy"], b["xy"])
    assert np.isfinite(everything(Explorer(run, gap_sample=5))["gap"]).sum() == 5
    same(a, everything(Explorer(run, gap_sample=4)))


def test_a_folder_that_cannot_be_written_is_no_error(digits_run: Callable[..., Run]) -> None:
    run = digits_run(n_test=12)
    run.dir.mkdir()
    (run.dir / "explore").write_text("in the way")
    first = everything(Explorer(run, gap_sample=4))
    same(first, everything(Explorer(run, gap_sample=4)))


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    cache = DiskCache(tmp_path, {})
    monkeypatch.setattr(np, "savez", full)
    cache.write("map", {}, {"xy": np.zeros(2)})
    assert list(tmp_path.iterdir()) == []
    assert cache.read("map", {}) is None


def test_old_files_are_forgotten(tmp_path: Path) -> None:
    for weights in range(FILES_PER_STAGE + 2):
        DiskCache(tmp_path, {"weights": weights}).write("map", {}, {"xy": np.array([weights])})
        DiskCache(tmp_path, {"weights": weights}).write("gaps", {}, {"xy": np.array([weights])})
    assert len(list(tmp_path.glob("map-*.npz"))) == FILES_PER_STAGE
    assert len(list(tmp_path.glob("gaps-*.npz"))) == FILES_PER_STAGE
    newest = DiskCache(tmp_path, {"weights": FILES_PER_STAGE + 1}).read("map", {})
    assert newest is not None
    assert newest["xy"] == [FILES_PER_STAGE + 1]
