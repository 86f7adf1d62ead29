"""Packages from npm that tests use: installed once, beside the lock file that names them."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
GENERATORS = FOLDER / "generators"
"""What generates a TypeScript client; it needs another TypeScript than the rest."""


def node() -> str:
    """Return the path of Node; skips the test where there is none."""
    return shutil.which("node") or pytest.skip("no node: install Node 20 or newer")


def modules(folder: Path = FOLDER) -> Path:
    """Return the folder with the packages; skips the test where npm cannot install them."""
    if reason := _install(folder):
        pytest.skip(f"npm cannot install the packages: {reason}")
    return folder / "node_modules"


def bun() -> str:
    """Return the path of Bun; skips the test where npm has none for this machine."""
    result = next(modules().glob("@oven/bun-*/bin/bun"), None)
    return str(result) if result else pytest.skip("npm has no bun for this machine")


@cache
def _install(folder: Path) -> str:
    """Install what the lock file names; returns what keeps npm from it, or nothing."""
    npm = shutil.which("npm")
    if npm is None:
        return "there is no npm"
    lock, installed = (
        folder / "package-lock.json",
        folder / "node_modules" / ".package-lock.json",
    )  # npm writes it last.
    with lock.open() as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # Several processes may share the tests.
        if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
            return ""
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    return (done.stderr.strip().splitlines() or ["it says nothing"])[-1] if done.returncode else ""
