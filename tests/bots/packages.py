"""Bots from PyPI that tests use: each in a virtual environment of its own, made once on this machine."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

FREQTRADE = "freqtrade==2026.9"
_CACHE = Path(tempfile.gettempdir()) / "zeon-bots"


@cache
def environment(*packages: str) -> Path:
    """Return the folder with the programs of packages; skips the test where pip cannot install them."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = _CACHE / "-".join([*packages, version]).replace("=", "")
    done = folder / "installed"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # Several processes may share the tests.
        if not done.exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", *packages]
            result = subprocess.run(command, capture_output=True, text=True, timeout=1800)
            if result.returncode:
                lines = result.stderr.strip().splitlines() or ["it says nothing"]
                pytest.skip(f"pip cannot install {' '.join(packages)}: {lines[-1]}")
            done.touch()
    return folder / "bin"
