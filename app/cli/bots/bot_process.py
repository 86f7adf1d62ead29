"""The process of a bot: its output line by line, signals handed on, its exit code."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from app.cli.bots.process_tree import is_asleep
from app.errors import BadInputError

_LINE_BYTES = 1 << 20
_GRACE_S = 10.0
"""Seconds that a bot gets after SIGINT; half of them after SIGTERM, before it is killed."""


class BotProcess:
    """A bot that runs. It is the leader of a process group, so that what it starts ends with it."""

    def __init__(self, process: asyncio.subprocess.Process, write: Callable[[str], None]) -> None:
        self._process = process
        self._write = write
        self._reading = asyncio.ensure_future(self._read())
        self.signalled = False
        """Whether it was asked to end."""

    @classmethod
    async def start(
        cls, command: Sequence[str], environment: Mapping[str, str], write: Callable[[str], None]
    ) -> BotProcess:
        """Start a program; `write` gets each line of its output. Raises `BadInputError` if it cannot be started."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command, env=environment, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, limit=_LINE_BYTES,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise BadInputError(f"command: {command[0]} cannot be started: {error.strerror}") from None
        return cls(process, write)

    @property
    def ended(self) -> bool:
        """Whether the program has ended."""
        return self._process.returncode is not None

    @property
    def asleep(self) -> bool:
        """Whether all threads of its processes sleep."""
        return is_asleep(self._process.pid)

    def send(self, number: int) -> None:
        """Send a signal to its processes; harmless if they have ended."""
        self.signalled = True
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    async def wait(self) -> int:
        """Wait for its end; return its exit code, 128 and the number of the signal that ended it."""
        code = await self._process.wait()
        self.send(signal.SIGKILL)  # What it has started and left behind.
        await self._reading
        return code if code >= 0 else 128 - code

    async def end(self) -> int:
        """Wait for its end after SIGINT, then end it by force; return its exit code, 0 if a signal ended it."""
        for number, grace_s in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, _GRACE_S / 2)):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), grace_s)
            if not self.ended:
                self.send(number)
        code = await self.wait()
        return 0 if code in (128 + signal.SIGINT, 128 + signal.SIGTERM) else code

    async def _read(self) -> None:
        """Hand on its output; a longer line comes in parts."""
        output = self._process.stdout
        assert output is not None
        while True:
            try:
                line = await output.readuntil(b"\n")
            except asyncio.LimitOverrunError as error:
                line = await output.readexactly(error.consumed)
            except asyncio.IncompleteReadError as error:
                line = error.partial
                if not line:
                    return
            self._write(line.decode(errors="replace").rstrip("\r\n"))
