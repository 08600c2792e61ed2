"""In training the C library keeps the memory that a step frees: the next step finds its pages in place."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from gpvae_core import allocator
from gpvae_core.bench.training import step
from gpvae_core.encoders.gp import GPEncoderConfig
if sys.argv[1] == "kept":
    allocator.keep_freed_memory()
torch.set_num_threads(1)
once = step(GPEncoderConfig(), 10, torch.device("cpu"))
for _ in range(5):
    once()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    once()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 5)
"""


def faults_a_step(memory: str) -> float:
    answer = subprocess.run([sys.executable, "-c", FAULTS, memory], check=True, capture_output=True, text=True)
    return float(answer.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="page faults of glibc's allocator")
def test_steps_ask_the_system_for_few_new_pages() -> None:
    kept, returned = faults_a_step("kept"), faults_a_step("returned")
    assert kept < returned / 5, (kept, returned)
