"""A lock on the machine, between the processes that share the tests: most run together, some need it for themselves."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class MachineLock:
    """One process's view of two lock files; the kernel frees the locks of a process that dies.

    A process that waits for the exclusive lock holds the gate, so that no other passes it and the wait ends.
    """

    def __init__(self, folder: Path) -> None:
        self._gate = (folder / "gate").open("w")
        self._machine = (folder / "machine").open("w")

    def close(self) -> None:
        """Close the files, which frees the locks."""
        self._gate.close()
        self._machine.close()

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Run together with others that share the lock."""
        with _lock(self._gate, fcntl.LOCK_EX):
            fcntl.flock(self._machine, fcntl.LOCK_SH)
        with _lock(self._machine, fcntl.LOCK_SH):
            yield

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Wait until no other runs, and run while none does."""
        with _lock(self._gate, fcntl.LOCK_EX), _lock(self._machine, fcntl.LOCK_EX):
            yield


@contextmanager
def _lock(file: IO[str], mode: int) -> Iterator[None]:
    fcntl.flock(file, mode)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
