"""Checks at the public boundary, and names that are not known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gpvae_core.device import available_devices, pick_device
from gpvae_core.errors import UserError, unknown
from gpvae_core.registry import Registry
from gpvae_core.types import as_images

SHAPE = (1, 8, 8)


def test_one_image_becomes_a_batch() -> None:
    assert as_images(torch.rand(SHAPE), SHAPE).shape == (1, *SHAPE)
    assert as_images(torch.rand(5, *SHAPE).double(), SHAPE).dtype == torch.float32


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.rand(8, 8), r"wanted images of shape \(1, 8, 8\) or \(batch, 1, 8, 8\), got \(8, 8\)"),
        (torch.rand(2, 3, 8, 8), "was the image resized"),
        (torch.full(SHAPE, float("nan")), "NaN"),
        (torch.full(SHAPE, 255.0), "255 for bytes"),
        (torch.full(SHAPE, -0.1), "wanted pixels in"),
        (torch.zeros(0, *SHAPE), "at least one image"),
    ],
)
def test_wrong_images_are_one_clear_line(x: Tensor, message: str) -> None:
    with pytest.raises(UserError, match=message):
        as_images(x, SHAPE)


def test_the_range_of_pixels_is_that_of_the_data() -> None:
    assert as_images(torch.full(SHAPE, -0.1), SHAPE, (-0.7, 1.7)).shape == (1, *SHAPE)
    assert as_images(torch.full(SHAPE, 255.0), SHAPE, None).shape == (1, *SHAPE)
    with pytest.raises(UserError, match=r"wanted pixels in \[-0.7, 1.7\], got 255 to 255"):
        as_images(torch.full(SHAPE, 255.0), SHAPE, (-0.7, 1.7))
    with pytest.raises(UserError, match="wanted finite values, got NaN or infinity"):
        as_images(torch.full(SHAPE, float("inf")), SHAPE, None)


def test_an_unknown_name_lists_what_is_known() -> None:
    assert "did you mean 'gaussian'? (known: gaussian, gp)" in str(unknown("encoder", "gausian", ["gp", "gaussian"]))
    assert "did you mean" not in str(unknown("encoder", "zzz", ["gp"]))


def test_two_classes_cannot_share_a_name() -> None:
    registry: Registry[type] = Registry("thing", "gpvae_core.refiners")
    registry.register("a")(int)
    with pytest.raises(ValueError, match="two things are called 'a'"):
        registry.register("a")(float)
    assert registry.get("a") is int


def test_the_best_device_is_chosen_unless_one_is_named() -> None:
    assert str(pick_device()) == available_devices()[0]
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(UserError, match="wanted device 'cuda:99'"):
        pick_device("cuda:99")
