"""Damage to the files of a run: every file cut, replaced and edited in every way that a disk or a person has."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file

from gpvae_core.run_files import MOST_METRICS, MOST_RECORD

RECORDS = ("config.json", "meta.json", "best/state.json", "last/state.json")
TENSORS = ("best/weights", "last/weights", "last/optimizer")
BRACKETS = "[" * 100_000
DIGITS = "9" * 5_000


class Damage(NamedTuple):
    """What is done to a file of a run folder."""

    name: str
    apply: Callable[[Path], None]


def damages() -> list[Damage]:
    """Return all damages, each to one file."""
    return [*_replaced(), *_edited(), *_tensors(), *_metrics(), *too_large()]


def _replaced() -> Iterator[Damage]:
    """Yield each file of a run replaced by something else."""
    metrics = "metrics.jsonl"
    for file in (*RECORDS, metrics, *(f"{name}.safetensors" for name in TENSORS)):
        yield Damage(f"{file}: bytes", _bytes(file, b"\xff\xfe\x00junk" * 50))
        yield Damage(f"{file}: folder", _folder(file))
        yield Damage(f"{file}: pipe", _pipe(file))
        if file != metrics:  # a run without metrics is whole
            yield Damage(f"{file}: empty", _bytes(file, b""))
        if file not in (metrics, "config.json"):  # a folder without config.json is no run
            yield Damage(f"{file}: gone", lambda run, file=file: (run / file).unlink())
    for file in (*RECORDS, metrics):
        yield Damage(f"{file}: brackets", _bytes(file, f'{{"a": {BRACKETS}\n'.encode()))
        yield Damage(f"{file}: nested", _bytes(file, f'{{"a": {"[" * 500}{"]" * 500}}}\n'.encode()))
        yield Damage(f"{file}: digits", _bytes(file, f'{{"epoch": {DIGITS}}}\n'.encode()))
        yield Damage(f"{file}: list", _bytes(file, b"[1, 2]\n"))


def _edited() -> Iterator[Damage]:
    """Yield each record with one entry changed."""
    huge: Any = 10**300
    edits: dict[str, dict[str, list[Any]]] = {
        "config.json": {
            "method": ["va\ud800e", "vae\0", 3, f"iaf:{DIGITS}", ["vae"], "x" * 100_000],
            "data.name": ["digits\0", "digit\ud800s", "no such data", None],
            "data.split_seed": [-1, huge],
            "net.hidden": [0, 10**9, huge, float("inf"), 65_536],
            "net.depth": [10**6, -3],
            "latent_dim": [0, 10**9],
            "train.samples": [10**9, 0],
            "train.batch_size": [10**12, -1],
            "train.lr": [float("inf"), float("nan"), -1.0, 0, "fast"],
            "likelihood.sigma_x": [float("inf"), 0],
            "format": [99, "1", None, -1, True],
            "extra": [1],
        },
        "meta.json": {
            "event_shape": [[1, 4, 16], [1, 8, 9], [8, 8], [1, -8, 8], [1, 10**9, 10**9], [1, 2**16, 2**16], "x"],
            "data_fingerprint": [None, 3, "0"],
            "init_from": ["a\ud800b", "a\0b"],
            "seed": [huge, -1],
            "seconds": [float("nan"), "x"],
            "format": [99, None],
        },
        "best/state.json": {
            "epoch": [0, -1, huge, "x", None],
            "validation_elbo": [float("nan"), float("inf"), None, "x"],
            "checksums": [{"weights": "0"}, 3],
            "format": [99],
        },
        "last/state.json": {
            "epoch": [-1, huge, "x", None, 1.5],
            "step": [-1, 10**9],
            "stage": [-1, 1, 10**6],
            "stage_epoch": [-1, 7],
            "best_epoch": [-1, 7],
            "best_elbo": [float("nan"), "x"],
            "bound_sum": [float("inf"), float("nan"), None],
            "seconds": [float("inf"), -1],
            "passes": [-1, "x"],
            "finished": ["perhaps"],
            "device": ["tpu", 3],
            "rng": ["zz", "00", DIGITS, 3],
            "checksums": [{"optimizer": "0"}],
            "format": [99],
        },
    }
    for file, entries in edits.items():
        for key, values in entries.items():
            for number, value in enumerate(values):
                yield Damage(f"{file}: {key} {number}", _entry(file, key, value))


def _tensors() -> Iterator[Damage]:
    for name in TENSORS:
        yield Damage(f"{name}: cut", _content(name, lambda content: content[:-100]))
        yield Damage(f"{name}: long header", _content(name, lambda content: b"\xff" * 8 + content[8:]))
        yield Damage(f"{name}: flipped byte", _content(name, _flipped))
        yield Damage(f"{name}: other type", _rewritten(name, lambda t: {k: v.double() for k, v in t.items()}))
        yield Damage(f"{name}: half type", _rewritten(name, lambda t: {k: v.half() for k, v in t.items()}))
        yield Damage(f"{name}: one missing", _rewritten(name, lambda t: dict(list(t.items())[1:])))
        yield Damage(f"{name}: one more", _rewritten(name, lambda t: t | {"0.other": torch.zeros(2)}))
        yield Damage(f"{name}: none", _rewritten(name, lambda t: {}))
        yield Damage(f"{name}: not a number", _rewritten(name, _with_nan))
        yield Damage(f"{name}: other shape", _rewritten(name, lambda t: {k: v.flatten()[:1] for k, v in t.items()}))


def _metrics() -> Iterator[Damage]:
    row = {"epoch": 1, "train_bound": -1.0, "validation_elbo": -1.0, "seconds": 1.0}
    for key, values in {
        "epoch": [-1, "1", 1.5, 10**300, None],
        "validation_elbo": [float("nan"), "x", None],
        "train_bound": [float("inf"), "x"],
        "seconds": [-1.0, "x"],
    }.items():
        for number, value in enumerate(values):
            line = json.dumps(row | {key: value}) + "\n"
            yield Damage(f"metrics.jsonl: {key} {number}", _bytes("metrics.jsonl", line.encode()))


def too_large() -> Iterator[Damage]:
    """Yield each file with more bytes than are read, though what it says is as before."""
    for name in TENSORS:
        yield Damage(f"{name}: 12 GB", _longer(f"{name}.safetensors", 12 * 10**9))
    for file, most in {**dict.fromkeys(RECORDS, MOST_RECORD), "metrics.jsonl": MOST_METRICS}.items():
        yield Damage(f"{file}: blanks", _blanks(file, most))


def _longer(file: str, size: int) -> Callable[[Path], None]:
    """Return the damage by which a file has `size` bytes, of which the disk holds only those that it had."""
    return lambda run: os.truncate(run / file, size)


def _blanks(file: str, most: int) -> Callable[[Path], None]:
    def fill(run: Path) -> None:
        content = (run / file).read_bytes()
        (run / file).write_bytes(content + b"\n" * (most + 1 - len(content)))

    return fill


def _bytes(file: str, content: bytes) -> Callable[[Path], None]:
    def write(run: Path) -> None:
        (run / file).write_bytes(content)

    return write


def _folder(file: str) -> Callable[[Path], None]:
    def replace(run: Path) -> None:
        (run / file).unlink()
        (run / file).mkdir()

    return replace


def _pipe(file: str) -> Callable[[Path], None]:
    def replace(run: Path) -> None:
        (run / file).unlink()
        os.mkfifo(run / file)

    return replace


def _entry(file: str, key: str, value: Any) -> Callable[[Path], None]:
    def edit(run: Path) -> None:
        content = json.loads((run / file).read_text())
        *parents, leaf = key.split(".")
        node = content
        for parent in parents:
            node = node[parent]
        node[leaf] = value
        (run / file).write_text(json.dumps(content))

    return edit


def _content(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def edit(run: Path) -> None:
        path = run / f"{name}.safetensors"
        path.write_bytes(change(path.read_bytes()))

    return edit


def _flipped(content: bytes) -> bytes:
    """Return the content with the lowest bit of one number's fraction flipped, which is as finite as before."""
    changed = bytearray(content)
    changed[-4] ^= 1
    return bytes(changed)


def _rewritten(name: str, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Any:
    def edit(run: Path) -> None:
        path = run / f"{name}.safetensors"
        save_file({k: v.contiguous() for k, v in change(load_file(path)).items()}, path)

    return edit


def _with_nan(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: torch.full_like(value, float("nan")) for key, value in tensors.items()}
