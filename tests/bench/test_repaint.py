"""The bench of clicks: its runs on images of 28x28 need no download."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F

from gpvae_core.bench.repaint import enlarged_digits
from gpvae_core.data.base import DataConfig, load


def test_enlarged_digits_are_the_digits_again_when_reduced(tmp_path: Path) -> None:
    enlarged, digits = load(enlarged_digits(tmp_path)), load(DataConfig(name="digits"))
    assert enlarged.event_shape == (1, 28, 28)
    assert len(enlarged.train) + len(enlarged.validation) + len(enlarged.test) == 1797
    small = F.interpolate(torch.as_tensor(enlarged.train.pixels()), size=8, mode="area").flatten(1)
    nearest = torch.cdist(small, torch.as_tensor(digits.train.pixels()).flatten(1)).argmin(dim=1)
    assert (digits.train.labels[nearest] == enlarged.train.labels).mean() > 0.98
