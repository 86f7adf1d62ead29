"""Child processes that run strategies of one's own: started when needed, watched, and killed when they overrun.

A child answers its requests one after the other, so the oldest one unanswered is what it is at work on. That tells
whose fault a death is: its session fails, and all others are rebuilt in another child.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psutil

from app.domain.event import Event
from app.errors import StrategyFailedError, StrategyProcessLostError
from app.settings import PREFIX, Settings
from app.strategy_hosts.protocol import FRAME_BYTES, HEAD_BYTES, ProtocolError, decode_answer, frame

_LOOK_S = 0.1
_HELLO_S = 60.0
_STALL_S = 1.0
"""A look later than this says nothing about the children: this process itself stood still."""
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from app.strategy_hosts.strategy_process import main; main()"
)
_ALONE = 4
"""So many times `ZEON_CHILDREN` slow strategies may have a child of their own."""
_SECRET = (PREFIX, "PG", "DATABASE_URL")
"""How variables begin that no strategy needs to know."""
_log = logging.getLogger(__name__)

Answer = tuple[dict[str, Any], list[list[Event]]]


class HostClient:
    """Somebody a child works for.

    `grown` is by how many bytes the child has grown at it; `slow` says whether it holds up others, null as long as
    nobody knows.
    """

    def __init__(self) -> None:
        self.grown = 0
        self.slow: bool | None = None


@dataclass(eq=False)
class _Request:
    tenant: HostClient | None
    allowed_s: float
    slots: list[list[Event]] = field(default_factory=list)
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ProcessHandle:
    """One child process, as the server sees it."""

    def __init__(self, process: asyncio.subprocess.Process, settings: Settings, *, alone: bool) -> None:
        self.pid = process.pid
        self.alone = alone
        self.tenants: set[HostClient] = set()
        self.loaded: dict[str, str] = {}
        self.gone = False
        self.haunted = False
        self._process = process
        self._settings = settings
        self._seen = psutil.Process(process.pid)
        self._rss = 0
        self._requests: deque[_Request] = deque()
        self._heard_at = 0.0
        self._verdict: StrategyFailedError | None = None
        self._reading = asyncio.ensure_future(self._read())

    @property
    def ended(self) -> bool:
        """Whether the process is gone and everybody knows."""
        return self._reading.done()

    @property
    def slow(self) -> bool:
        """Whether somebody in it holds up others."""
        return any(tenant.slow for tenant in self.tenants)

    def fits(self, files: Mapping[str, str]) -> bool:
        """Whether it has loaded no other version of these files (path to SHA-256)."""
        return all(self.loaded.get(path, digest) == digest for path, digest in files.items())

    def ask(
        self, request: Mapping[str, Any], allowed_s: float, tenant: HostClient | None = None
    ) -> asyncio.Future[Answer]:
        """Send a request; the future holds its answer, or raises `StrategyFailedError` or `StrategyProcessLostError`.

        `allowed_s` is how long the child may be silent over it.
        """
        asked = _Request(tenant, allowed_s)
        assert self._process.stdin is not None
        if self._process.stdin.is_closing():  # It has died, which `_read` has not heard of yet, or closed its pipe.
            self.kill()
        if self.gone:
            asked.answer.set_exception(StrategyProcessLostError())
            asked.answer.add_done_callback(_seen)
            return asked.answer
        if not self._requests:
            self._heard_at = asyncio.get_running_loop().time()
        self._requests.append(asked)
        self._process.stdin.write(frame(json.dumps(request, default=str, separators=(",", ":"))))
        return asked.answer

    def look(self, now: float) -> None:
        """Kill the child when what it is at takes too long or too much memory."""
        if self.gone or not self._requests:
            return
        head = self._requests[0]
        if now - self._heard_at > head.allowed_s:
            self.kill(
                StrategyFailedError(f"The strategy took more than {self._settings.candle_timeout_ms} ms for a candle.")
            )
        elif head.tenant is not None:
            with suppress(psutil.Error):
                self._weigh(head.tenant, head.tenant.grown + self._seen.memory_info().rss - self._rss)

    def excuse(self, now: float) -> None:
        """Begin to count again: nobody listened for a while."""
        self._heard_at = now

    def kill(self, verdict: StrategyFailedError | None = None) -> None:
        """Kill the process and what it started; the request it is at fails with `verdict`."""
        self._verdict = self._verdict or verdict
        self.gone = True
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    async def close(self) -> None:
        """Kill the process and wait for its end."""
        self.kill()
        await self._reading

    async def _read(self) -> None:
        """Take in answers until the pipe ends, then tell everybody who still waits."""
        assert self._process.stdout is not None
        try:
            while True:
                head = await self._process.stdout.readexactly(HEAD_BYTES)
                size = int.from_bytes(head, "big")
                if size > FRAME_BYTES:
                    raise ProtocolError
                self._heard(*decode_answer(await self._process.stdout.readexactly(size)))
        except (asyncio.IncompleteReadError, ConnectionError):
            _log.debug("child %d ended", self.pid)
        except (ProtocolError, KeyError, TypeError, IndexError):
            self.kill(StrategyFailedError("The strategy broke the process it runs in: what came from it is no answer."))
        if not self.gone and self._requests:
            _log.warning("child %d ended while it was at work", self.pid)
        self.gone = True
        self._bury(await self._ended())

    async def _ended(self) -> int:
        """Wait for the process; one that only closed its pipe is killed."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        code = await self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        return code

    def _heard(self, head: dict[str, Any], slots: list[list[Event]]) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        request = self._requests[0]
        request.slots += slots
        if not head["done"]:
            return
        self.haunted = self.haunted or head.get("haunted") is True
        if request.tenant is not None:
            request.tenant.grown += head["rss"] - self._rss
            self._weigh(request.tenant, request.tenant.grown)
        self._rss = head["rss"]
        if self._verdict is None:
            self._requests.popleft()
            if not request.answer.done():
                request.answer.set_result((head, request.slots))
        if self.haunted and not self.tenants:
            self.kill()

    def _weigh(self, tenant: HostClient, grown: int) -> None:
        """Kill the child when it grew too much at one session."""
        most = self._settings.strategy_memory_mb
        if grown > most << 20:
            self.kill(StrategyFailedError(f"The strategy took more than {most} MB of memory."))

    def _bury(self, code: int) -> None:
        """Tell everybody who waits for an answer what became of the child."""
        for place, request in enumerate(self._requests):
            if not request.answer.done():
                request.answer.set_exception(self._reason(code) if place == 0 else StrategyProcessLostError())
                request.answer.add_done_callback(_seen)
        self._requests.clear()

    def _reason(self, code: int) -> Exception:
        if self._verdict is not None:
            return self._verdict
        if code >= 0:
            return StrategyFailedError(f"The strategy ended its process with exit code {code}.")
        return StrategyProcessLostError(f"signal {-code}")


class ProcessPool:
    """The children of this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._children: list[ProcessHandle] = []
        self._starting = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None

    @property
    def pids(self) -> list[int]:
        """The processes alive."""
        return [child.pid for child in self._children if not child.gone]

    async def child(self, files: Mapping[str, str], *, alone: bool = False) -> ProcessHandle:
        """Return a child that has loaded no other version of these files; with `alone` one nobody else is in."""
        async with self._starting:
            self._children = [child for child in self._children if not child.ended]
            shared = [] if alone else self._shared()
            fitting = [child for child in shared if child.fits(files)]
            chosen = min(fitting, key=lambda child: (child.haunted, child.slow, len(child.tenants)), default=None)
            if chosen is None or (chosen.tenants and len(shared) < self._most(shared)):
                chosen = await self._start(alone=alone)
            chosen.loaded |= files
            return chosen

    @property
    def roomy(self) -> bool:
        """Whether there may be one more child with a single tenant."""
        return sum(child.alone for child in self._children if not child.gone) < _ALONE * self._settings.children

    def _shared(self) -> list[ProcessHandle]:
        """Return the children that others may come into, not those with a thread of a session that has left.

        Only when more than `ZEON_CHILDREN` of them are such, they are taken as they are.
        """
        shared = [child for child in self._children if not (child.alone or child.gone)]
        quiet = [child for child in shared if not child.haunted]
        return quiet if len(shared) - len(quiet) <= self._settings.children else shared

    def _most(self, shared: Sequence[ProcessHandle]) -> int:
        """How many children may be shared: one more for each in which a slow strategy is, up to twice as many."""
        return self._settings.children + min(self._settings.children, sum(child.slow for child in shared))

    def leave(self, child: ProcessHandle, tenant: HostClient) -> None:
        """Take a tenant out; a child of its own ends with it."""
        child.tenants.discard(tenant)
        if child.alone:
            child.kill()

    async def close(self) -> None:
        """End all children."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        async with self._starting:
            await asyncio.gather(*(child.close() for child in self._children))
            self._children = []

    async def _start(self, *, alone: bool) -> ProcessHandle:
        arguments = (json.dumps(sys.path), os.getpid(), self._settings.candle_timeout_ms)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _PROGRAM,
            *map(str, arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if not name.startswith(_SECRET)},
            start_new_session=True,
            limit=1 << 20,
        )
        child = ProcessHandle(process, self._settings, alone=alone)
        self._children.append(child)
        await child.ask({"call": "hello"}, _HELLO_S)
        if self._watching is None or self._watching.done():
            self._watching = asyncio.ensure_future(self._watch())
        return child

    async def _watch(self) -> None:
        """Look at every child ten times a second until cancelled."""
        loop = asyncio.get_running_loop()
        looked_at = loop.time()
        while True:
            await asyncio.sleep(_LOOK_S)
            now = loop.time()
            for child in self._children:
                if now - looked_at > _STALL_S:
                    child.excuse(now)
                else:
                    child.look(now)
            looked_at = now


def _seen(answer: asyncio.Future[Answer]) -> None:
    """Look at what a request raised; whoever asked may have left."""
    if not answer.cancelled():
        answer.exception()
