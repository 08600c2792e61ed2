"""In training the C library keeps the memory that a step frees; the threads of a server share its heaps."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gpvae_core import allocator

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

HEAPS = """
import ctypes, sys, tempfile, threading
from gpvae_core import allocator
if sys.argv[1] == "shared":
    allocator.share_heaps()
held, ready = [], threading.Barrier(7)
def hold():
    held.append(bytearray(50_000))
    ready.wait()
for _ in range(6):
    threading.Thread(target=hold).start()
ready.wait()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
with tempfile.NamedTemporaryFile() as file:
    stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    assert libc.malloc_info(0, stream) == 0
    libc.fclose(stream)
    print(file.read().count(b"<heap nr="))
"""


def faults_a_step(memory: str) -> float:
    answer = subprocess.run([sys.executable, "-c", FAULTS, memory], check=True, capture_output=True, text=True)
    return float(answer.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="page faults of glibc's allocator")
def test_steps_ask_the_system_for_few_new_pages() -> None:
    kept, returned = faults_a_step("kept"), faults_a_step("returned")
    assert kept < returned / 5, (kept, returned)


@pytest.mark.skipif(sys.platform != "linux", reason="heaps of glibc's allocator")
def test_threads_share_two_heaps() -> None:
    def heaps(kind: str) -> int:
        answer = subprocess.run([sys.executable, "-c", HEAPS, kind], check=True, capture_output=True, text=True)
        return int(answer.stdout)

    assert heaps("shared") <= allocator.ARENAS < heaps("own")
