"""Packages from npm that tests use: installed once, beside the lock file that names them."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
MODULES = FOLDER / "node_modules"
_LOCK = FOLDER / "package-lock.json"
_INSTALLED = MODULES / ".package-lock.json"
"""Written by npm at the end."""


def node() -> str:
    """Return the path of Node; skips the test where there is none."""
    return shutil.which("node") or pytest.skip("no node: install Node 20 or newer")


def modules() -> Path:
    """Return the folder with the packages; skips the test where npm cannot install them."""
    if reason := _install():
        pytest.skip(f"npm cannot install the packages: {reason}")
    return MODULES


def bun() -> str:
    """Return the path of Bun; skips the test where npm has none for this machine."""
    result = next(modules().glob("@oven/bun-*/bin/bun"), None)
    return str(result) if result else pytest.skip("npm has no bun for this machine")


@cache
def _install() -> str:
    """Install what the lock file names; returns what keeps npm from it, or nothing."""
    npm = shutil.which("npm")
    if npm is None:
        return "there is no npm"
    with _LOCK.open() as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # Several processes may share the tests.
        if _INSTALLED.exists() and _INSTALLED.stat().st_mtime >= _LOCK.stat().st_mtime:
            return ""
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=600)
    return (done.stderr.strip().splitlines() or ["it says nothing"])[-1] if done.returncode else ""
