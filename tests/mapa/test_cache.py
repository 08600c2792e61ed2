"""Tables on disk: found once, again where the file is damaged, and not kept where the disk cannot be written."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from gpvae_core import files
from gpvae_core.errors import UserError
from gpvae_core.mapa import cache
from gpvae_core.mapa.cache import cache_folder, fingerprint, key, load_or_find
from gpvae_core.mapa.kernels.base import Kernel
from gpvae_core.mapa.kernels.bernoulli import BernoulliKernel
from gpvae_core.mapa.kernels.continuous_bernoulli import ContinuousBernoulliKernel
from gpvae_core.mapa.kernels.gaussian import GaussianKernel
from gpvae_core.mapa.neighbours import NeighbourTable, find_neighbours

KERNEL = GaussianKernel(0.2)
SEARCHED: list[int] = []


@pytest.fixture(autouse=True)
def count_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(*arguments: object) -> NeighbourTable:
        SEARCHED.append(1)
        return find_neighbours(*arguments)  # pyright: ignore[reportArgumentType]

    SEARCHED.clear()
    monkeypatch.setattr(cache, "find_neighbours", counted)


def points(seed: int = 0) -> Tensor:
    return torch.rand(100, 4, generator=torch.Generator().manual_seed(seed))


def actual(folder: Path, **other: object) -> NeighbourTable:
    arguments = {"x_train": points(), "kernel": KERNEL, "k": 7, "device": "cpu", "folder": folder, **other}
    return load_or_find(**arguments)  # pyright: ignore[reportArgumentType]


def same(a: NeighbourTable, b: NeighbourTable) -> bool:
    pairs = ((a.index, b.index), (a.statistic, b.statistic), (a.rest_statistic, b.rest_statistic))
    return all(torch.equal(*pair) for pair in pairs) and (a.n_total, a.recall) == (b.n_total, b.recall)


def test_a_table_is_found_once(tmp_path: Path) -> None:
    first, second = actual(tmp_path), actual(tmp_path)
    assert len(SEARCHED) == 1
    assert same(first, second)
    assert same(first, find_neighbours(points(), KERNEL, 7, device="cpu"))
    assert [file.suffix for file in tmp_path.iterdir()] == [".safetensors"]


def test_a_bandwidth_needs_no_other_table(tmp_path: Path) -> None:
    actual(tmp_path)
    wide = actual(tmp_path, kernel=GaussianKernel(3.0)).posterior(GaussianKernel(3.0))
    assert len(SEARCHED) == 1
    expected = find_neighbours(points(), GaussianKernel(3.0), 7, device="cpu").posterior(GaussianKernel(3.0))
    assert torch.equal(wide.log_q, expected.log_q)


@pytest.mark.parametrize(
    "other",
    [
        {"x_train": points(1)},
        {"x": points(1)},
        {"k": 8},
        {"seed": 1},
        {"method": "approximate"},
        {"kernel": ContinuousBernoulliKernel(0.9)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_the_search_depends_on_is_in_the_name(tmp_path: Path, other: dict[str, object]) -> None:
    actual(tmp_path)
    changed = actual(tmp_path, **other)
    assert len(SEARCHED) == 2
    assert same(changed, actual(tmp_path, **other))
    assert len(SEARCHED) == 2


def test_rho_of_the_continuous_bernoulli_is_in_the_name_and_its_temperature_is_not() -> None:
    def name(kernel: Kernel) -> str:
        return key(points(), kernel, 7, None, "exact", 0)

    assert name(ContinuousBernoulliKernel(0.9)) != name(ContinuousBernoulliKernel(0.8))
    assert name(ContinuousBernoulliKernel(0.9, 1.0)) == name(ContinuousBernoulliKernel(0.9, 5.0))


def test_the_fingerprint_is_of_values_shape_and_type() -> None:
    x = points()
    variants = [x, x.view(50, 8), x.double(), x + 0.001, x.flip(0)]
    assert len({fingerprint(variant) for variant in variants}) == len(variants)
    assert fingerprint(x) == fingerprint(x.T.contiguous().T)


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(content: bytes) -> bytes:
    return content[:-50] + bytes([content[-50] ^ 1]) + content[-49:]


@pytest.mark.parametrize("damage", [_cut, _flip, lambda _: b"", lambda _: b"not a table"])
def test_a_damaged_file_is_computed_again(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    first = actual(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert same(actual(tmp_path), first)
    assert len(SEARCHED) == 2
    assert same(actual(tmp_path), first)
    assert len(SEARCHED) == 2


def test_a_file_larger_than_the_cache_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = actual(tmp_path)
    (file,) = tmp_path.iterdir()
    monkeypatch.setattr(cache, "KEPT_BYTES", file.stat().st_size)
    assert cache.read(file) is not None
    monkeypatch.setattr(cache, "KEPT_BYTES", file.stat().st_size - 1)
    assert cache.read(file) is None
    assert same(actual(tmp_path), first)
    assert len(SEARCHED) == 2


@pytest.mark.parametrize("changed", [{"index": None}, {"statistic": torch.ones(2, 2, dtype=torch.bfloat16)}])
def test_a_file_with_other_tensors_is_computed_again(tmp_path: Path, changed: dict[str, Tensor | None]) -> None:
    """Its digest fits, as it was not damaged but written so."""
    first = actual(tmp_path)
    (file,) = tmp_path.iterdir()
    tensors = {name: value for name, value in {**load_file(file), **changed}.items() if value is not None}
    hashed = {name: value for name, value in tensors.items() if value.dtype != torch.bfloat16}
    save_file(tensors, file, {"sha256": cache._digest(hashed)})
    assert same(actual(tmp_path), first)
    assert len(SEARCHED) == 2


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert actual(tmp_path / "file" / "below").n_total == 100
    assert len(SEARCHED) == 1


@pytest.mark.parametrize("failing", ["mkstemp", "replace"])
def test_a_full_or_read_only_disk_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr({"mkstemp": files.tempfile, "replace": files.os}[failing], failing, refuse)
    assert actual(tmp_path).n_total == 100
    assert list(tmp_path.iterdir()) == []


def test_a_table_on_a_read_only_disk_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    actual(tmp_path)
    monkeypatch.setattr(cache.os, "utime", refuse)
    actual(tmp_path)
    assert len(SEARCHED) == 1


def test_the_longest_unused_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(3):
        actual(tmp_path, seed=seed)
    files = sorted(tmp_path.iterdir(), key=lambda file: file.stat().st_mtime_ns)
    for age, file in zip((300, 200, 100), files, strict=True):
        os.utime(file, (time.time() - age, time.time() - age))
    abandoned, current = tmp_path / ".old.tmp", tmp_path / ".new.tmp"
    for file in (abandoned, current):
        file.write_text("")
    os.utime(abandoned, (1.0, 1.0))
    actual(tmp_path, seed=0)
    monkeypatch.setattr(cache, "KEPT_BYTES", int(3.5 * files[0].stat().st_size))
    actual(tmp_path, seed=3)
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
    assert not abandoned.exists()
    assert current.exists()
    actual(tmp_path, seed=0)
    assert len(SEARCHED) == 4, "used last, so it is still there"


def test_values_that_the_kernel_does_not_take_are_refused_though_another_kernel_has_the_table(tmp_path: Path) -> None:
    actual(tmp_path)
    with pytest.raises(UserError, match="binary images"):
        actual(tmp_path, kernel=BernoulliKernel())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems name the folder otherwise")
def test_tables_lie_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "gpvae" / "neighbours"
