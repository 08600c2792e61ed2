"""The peak memory of a process."""

from __future__ import annotations

import sys
from pathlib import Path

from gpvae_core.reading import read_text

STATUS = Path("/proc/self/status")
"""What Linux says of a process."""


def peak_bytes() -> int | None:
    """Return the peak memory of this process; None on Windows, which does not report it."""
    if sys.platform == "win32":
        return None
    if STATUS.exists():
        # NOTE: ru_maxrss would be that of the process which started this one, where that is larger.
        line = next(line for line in read_text(STATUS).splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
