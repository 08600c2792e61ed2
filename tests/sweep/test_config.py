"""Sweep files: what they hold, and one clear line where they are wrong."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpvae_core.data.base import short_name
from gpvae_core.data.digits import Digits
from gpvae_core.errors import UserError
from gpvae_core.sweep.config import digest, parse_sweep, read_sweep, run_seed
from gpvae_core.sweep.plan import plan
from tests.data.makers import encode, write_tree

BASE: dict[str, Any] = {"datasets": ["digits"], "methods": ["vae", "gp"]}


def test_a_file_says_what_its_dictionary_says(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'datasets = ["digits"]\nmethods = ["vae", "gp"]\nlatent_dims = [2, 3]\nepochs = 7\n'
        "set = { net.hidden = 16 }\n[method_settings.gp]\nencoder.start_scale = 0.1\n[evaluate]\nk = 10\n"
    )
    same = parse_sweep(
        {
            **BASE,
            "name": "mine",
            "latent_dims": [2, 3],
            "epochs": 7,
            "set": {"net.hidden": 16},
            "method_settings": {"gp": {"encoder.start_scale": 0.1}},
            "evaluate": {"k": 10},
        }
    )
    actual = read_sweep(file)
    assert actual.setup() == same.setup()
    assert actual.name == "mine"
    assert [job.key for job in plan(actual)] == [job.key for job in plan(same)]


def test_the_plan_is_the_product_and_every_job_has_the_settings_meant_for_it() -> None:
    sweep = parse_sweep(
        {
            **BASE,
            "latent_dims": [2, 5],
            "splits": [0, 3],
            "restarts": [0, 1, 2],
            "epochs": 4,
            "set": {"net.hidden": 16, "data.validation_fraction": 0.2},
            "method_settings": {"gp": {"encoder.start_scale": 0.1, "net.hidden": 24}},
        }
    )
    jobs = plan(sweep)
    assert len(jobs) == 2 * 2 * 2 * 3
    assert len({job.key for job in jobs}) == len({job.folder for job in jobs}) == len(jobs)
    assert len({job.cost_key for job in jobs}) == 4
    assert len({job.config.seed for job in jobs}) == 6
    for job in jobs:
        c = job.config
        assert (c.train.epochs, c.data.split_seed, c.data.validation_fraction) == (4, job.split, 0.2)
        assert c.seed == run_seed(job.split, job.restart)
        assert c.net.model_dump()["hidden"] == (24 if c.method == "gp" else 16)
    gp = [job.config.encoder.model_dump()["start_scale"] for job in jobs if job.config.method == "gp"]
    assert set(gp) == {0.1}
    first = {(job.config.method, job.config.latent_dim) for job in jobs[:4]}
    assert len(first) == 4, "each method and d comes once before the next split"


def test_settings_of_a_method_hold_for_every_count_and_those_of_a_count_come_last() -> None:
    own = {"iaf": {"net.hidden": 24}, "iaf:2": {"net.hidden": 32}}
    sweep = parse_sweep({**BASE, "methods": ["vae", "iaf:1", "iaf:2"], "method_settings": own})
    hidden = {job.config.method: job.config.net.model_dump()["hidden"] for job in plan(sweep)}
    assert hidden == {"vae": 128, "iaf:1": 24, "iaf:2": 32}


def test_keys_say_what_was_trained_and_how_it_was_scored() -> None:
    def first(**more: Any) -> Any:
        return plan(parse_sweep({**BASE, **more}))[0]

    one = first(name="a")
    assert first(name="b", splits=[0, 1]).key == one.key, "neither the name nor the other axes matter"
    assert first(evaluate={"k": 10}).key != one.key
    assert first(evaluate={"truths": 3}).key != one.key
    assert first(evaluate={"truths": 3}).cost_key != one.cost_key
    assert first(evaluate={"truths": 0}).key == one.key
    earlier = {"config": one.config.to_json(), "score": {"k": one.score.k, "seed": one.score.seed}}
    assert one.key == digest(earlier), "results from before there were truths are still found"
    assert first(evaluate={"k": 10}).folder == one.folder, "another score needs no other training"
    assert first(epochs=3).folder != one.folder
    assert first(epochs=3).cost_key == one.cost_key


def test_a_restart_is_the_seed_of_the_first_split_and_no_seed_comes_twice() -> None:
    assert [run_seed(0, r) for r in range(3)] == [0, 1, 2]
    assert len({run_seed(s, r) for s in range(20) for r in range(20)}) == 400


def test_a_data_set_that_is_there_is_not_read_for_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: Digits) -> Any:
        raise AssertionError("read")

    monkeypatch.setattr(Digits, "read", read)
    assert len(plan(parse_sweep(BASE))) == 2


def test_a_folder_of_pictures_is_one_data_set_however_its_path_is_spelt(tmp_path: Path) -> None:
    picture = encode(np.zeros((8, 8), np.uint8))
    write_tree(tmp_path / "pets", {f"{kind}/{i}.png": picture for kind in ("cat", "dog") for i in range(9)})
    spellings = [f"images:{tmp_path}/pets", f"images:{tmp_path}/./pets"]
    (job,) = plan(parse_sweep({"datasets": spellings, "methods": ["vae"]}))
    assert job.config.data.name == f"images:{tmp_path.resolve()}/pets"
    assert job.folder.startswith("images-pets-vae-d2-split0-r0-")


def test_short_names() -> None:
    assert short_name("mnist") == "mnist"
    assert short_name("images:/a/b/pets.zip") == "images-pets"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"metods": ["vae"]}, "unknown key 'metods'; did you mean 'methods'"),
    ({"methods": ["vea"]}, "unknown method 'vea'; did you mean 'vae'"),
    ({"datasets": ["digit"]}, "unknown dataset 'digit'; did you mean 'digits'"),
    ({"methods": []}, "setting 'methods': wanted at least one, got []"),
    ({"datasets": "digits"}, "setting 'datasets': wanted a list like [\"digits\"], got 'digits'"),
    ({"splits": 3}, "setting 'splits': wanted a list like [3], got 3"),
    ({"latent_dims": ["2"]}, "valid integer, got '2'"),
    ({"epochs": "3"}, "valid integer, got '3'"),
    ({"splits": [1, 1]}, "wanted each value once, got 1 twice"),
    ({"splits": [-1]}, "greater than or equal to 0"),
    (
        {"restarts": list(range(50_001))},
        "wanted at most 100000 trainings in a sweep, got 100002: 1 datasets x 2 methods x 1 latent_dims x 1 splits",
    ),
    ({"splits": list(range(1500)), "restarts": list(range(1500))}, "wanted at most 100000 trainings in a sweep, got"),
    ({"restarts": [*range(500), *range(500)]}, "wanted each value once, got 0, 1, 2"),
    ({"latent_dims": ["two"]}, "valid integer"),
    ({"epochs": 0}, "greater than or equal to 1"),
    ({"evaluate": {"kk": 3}}, "unknown setting 'evaluate.kk'"),
    ({"preset": "kim2020"}, "unknown preset 'kim2020'; did you mean 'kim2021'"),
    ({"set": {"net.hiden": 3}}, "did you mean 'net.hidden'"),
    ({"set": {"latent_dim": 3}}, "'latent_dim' is decided by the sweep's 'latent_dims'"),
    ({"set": {"train.epochs": 3}}, "'train.epochs' is decided by the sweep's 'epochs'"),
    ({"method_settings": {"iaf": {"x": 1}}}, "'iaf', which is none of the sweep's methods: vae, gp"),
    ({"method_settings": {"gp": {"seed": 1}}}, "'seed' is decided by the sweep's 'restarts'"),
    ({"set": {"net.kind": "conv", "net.layers": 5}}, "wants square images of at least 32 pixels"),
    ({"methods": ["vae", "vlae:1"], "set": {"net.kind": "conv"}}, "wants a fully connected ReLU decoder"),
    ({"datasets": ["images:/no/such/folder"]}, "/no/such/folder"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_what_is_wrong_is_said_before_anything_trains(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        plan(parse_sweep({**BASE, **change}))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_long_list_is_read_in_time_linear_in_its_length() -> None:
    """Counting each of 50,000 values in the whole list takes half a minute."""
    began = time.process_time()
    assert len(parse_sweep({**BASE, "restarts": list(range(50_000))}).restarts) == 50_000
    assert time.process_time() - began < 3


def test_files_that_are_no_sweep(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no sweep file"):
        read_sweep(tmp_path / "none.toml")
    file = tmp_path / "bad.toml"
    file.write_text("datasets = [")
    with pytest.raises(UserError, match="is not a TOML file"):
        read_sweep(file)
    file.write_text('metods = ["vae"]')
    with pytest.raises(UserError, match=r"bad.toml': unknown key 'metods'; did you mean 'methods'"):
        read_sweep(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="is not a TOML file"):
        read_sweep(file)
