"""The clock of a bot: a file from which libfaketime reads the time, and the sleeps that wait for it."""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
from importlib.util import find_spec
from pathlib import Path

from app.errors import BadInputError
from app.tasks import cancel_and_wait

_LIBRARY = Path("vendor", "libfaketime", "src", "libfaketime.so.1")
_PYTHON_SLEEPS = Path(__file__).with_name("python_sleeps.py")
"""What lets the sleeps of Python programs follow the clock: Python runs it at its start if it is `sitecustomize`."""
_TICK_MS = 20
_DEADLINE = struct.Struct("<d")


def library() -> Path:
    """Return libfaketime of PyPI, which works with Python; raises `BadInputError` without it."""
    package = find_spec("libfaketime")
    folder = None if package is None or package.origin is None else Path(package.origin).parent
    if folder is None or not (folder / _LIBRARY).exists():
        raise BadInputError(
            "The clock of a bot is set by libfaketime, on Linux: pip install 'zeon-sim[bots]'."
            " A bot that needs no clock runs with --no-clock."
        )
    return folder / _LIBRARY


class BotClock:
    """The time of a bot's processes: it stands still until it is set, and never goes back.

    Sleeps of Python programs end when the clock reaches their end; `next_ms` is the end of the first one.
    """

    def __init__(self, folder: Path, now_ms: int) -> None:
        self._file, self._next_file = folder / "clock", folder / "clock.new"
        self._socket = folder / "sleeps"
        self._python = folder / "python"
        self._python.mkdir()
        shutil.copy(_PYTHON_SLEEPS, self._python / "sitecustomize.py")
        self._sleeps: dict[asyncio.StreamWriter, float] = {}
        self._server: asyncio.Server | None = None
        self._going: asyncio.Task[None] | None = None
        self.now_ms = now_ms
        self.set(now_ms)

    async def open(self) -> None:
        """Begin to take the sleeps of the bot."""
        self._server = await asyncio.start_unix_server(self._take, self._socket)

    async def close(self) -> None:
        """End all sleeps."""
        if self._server is not None:
            self._server.close()
        if self._going is not None:
            await cancel_and_wait([self._going])
        self.release(float("inf"))

    def go(self) -> None:
        """Let the clock go on with the real one: the bot was asked to end."""
        if self._going is None:
            self._going = asyncio.ensure_future(self._go())

    async def _go(self) -> None:
        while True:
            await asyncio.sleep(_TICK_MS / 1000)
            self.set(self.now_ms + _TICK_MS)

    def environment(self, inherited: dict[str, str]) -> dict[str, str]:
        """Return the variables with which a program has this clock."""
        preloaded = filter(None, (str(library()), inherited.get("LD_PRELOAD")))
        paths = filter(None, (str(self._python), inherited.get("PYTHONPATH")))
        return {
            "LD_PRELOAD": ":".join(preloaded),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_FMT": "%s",
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": os.pathsep.join(paths),
            "ZEON_SLEEPS": str(self._socket),
        }

    @property
    def next_ms(self) -> float | None:
        """When the first sleep ends, in ms of this clock; null if none is known."""
        return min(self._sleeps.values(), default=None)

    def set(self, now_ms: int, *, release: bool = True) -> None:
        """Set the clock forward and end the sleeps that are over, or leave them to the next call."""
        self.now_ms = max(self.now_ms, now_ms)
        seconds, ms = divmod(self.now_ms, 1000)
        # libfaketime computes the fraction in floating point and cuts it: without the nanosecond 0.250 becomes 0.249.
        self._next_file.write_text(f"{seconds}.{ms:03d}000001\n" if ms else f"{seconds}.0\n")
        self._next_file.replace(self._file)
        if release:
            self.release(self.now_ms)

    def release(self, until_ms: float) -> None:
        """End the sleeps up to a time."""
        for writer in [one for one, end_ms in self._sleeps.items() if end_ms <= until_ms]:
            del self._sleeps[writer]
            writer.write(b"\0")
            writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Keep a sleep until it ends, or its thread is interrupted."""
        try:
            (end_s,) = _DEADLINE.unpack(await reader.readexactly(_DEADLINE.size))
            self._sleeps[writer] = end_s * 1000
            self.release(self.now_ms)
            await reader.read(1)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._sleeps.pop(writer, None)
            writer.close()
