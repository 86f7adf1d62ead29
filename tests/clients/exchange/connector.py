"""binance-connector in a folder of its own: its module has the name of python-binance's."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

VERSION = "3.13.0"
SCRIPT = Path(__file__).with_name("connector_call.py")
FOLDER = Path(__file__).parent / ".packages" / f"binance-connector-{VERSION}"


@cache
def packages() -> Path:
    """Return the folder with the package; skips the test where pip cannot install it."""
    FOLDER.parent.mkdir(exist_ok=True)
    with (FOLDER.parent / ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (FOLDER / "binance" / "spot").exists():
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            what = ["--target", str(FOLDER), f"binance-connector=={VERSION}"]
            done = subprocess.run([*command, *what], capture_output=True, text=True, timeout=600)
            if done.returncode:
                pytest.skip(f"pip cannot install binance-connector: {done.stderr.strip().splitlines()[-1]}")
    return FOLDER
