"""Turns of the processes that share the tests: most run beside each other, some have the machine to themselves."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class Turns:
    """One process's view of two lock files; the kernel lets go of what a process that dies has held.

    Whoever wants to be alone waits for the others inside the gate, so that nobody new slips past it.
    """

    def __init__(self, folder: Path) -> None:
        self._gate = (folder / "gate").open("w")
        self._room = (folder / "room").open("w")

    def close(self) -> None:
        """Leave the turns to the others."""
        self._gate.close()
        self._room.close()

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Run beside others, none of which wants to be alone."""
        with _held(self._gate, fcntl.LOCK_EX):
            fcntl.flock(self._room, fcntl.LOCK_SH)
        with _held(self._room, fcntl.LOCK_SH):
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Run when the others have ended what they are at."""
        with _held(self._gate, fcntl.LOCK_EX), _held(self._room, fcntl.LOCK_EX):
            yield


@contextmanager
def _held(file: IO[str], how: int) -> Iterator[None]:
    fcntl.flock(file, how)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
