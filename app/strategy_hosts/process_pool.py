"""The processes that run user strategies: started when needed, monitored, and killed when they exceed a limit.

A process answers its requests in order, so when it dies, the oldest unanswered request was the cause: its session
fails, and all other sessions are rebuilt in another process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import psutil

from app.domain.event import Event
from app.errors import StrategyFailedError, StrategyProcessLostError
from app.settings import Settings
from app.strategy_hosts import launch
from app.strategy_hosts.guard import MESSAGE
from app.strategy_hosts.protocol import FRAME_BYTES, HEADER_BYTES, ProtocolError, decode_answer, frame

_CHECK_S = 0.1
_START_S = 60.0
_STALL_S = 1.0
"""A check that is later than this is ignored: the server itself was suspended."""
_OWN_PROCESSES = 4
"""At most this many times `ZEON_CHILDREN` slow strategies may have their own process."""
_log = logging.getLogger(__name__)
_output = logging.getLogger("app.strategy_output")
"""What strategies print; its level is `info`."""

T = TypeVar("T")
Answer = tuple[dict[str, Any], list[list[Event]]]


class HostClient:
    """One session in a strategy process.

    `memory_growth` is how many bytes the process has grown while it ran this session; `is_slow` says whether the
    session delays others, null while that is unknown.
    """

    def __init__(self) -> None:
        self.memory_growth = 0
        self.is_slow: bool | None = None


@dataclass(eq=False)
class _Request:
    client: HostClient | None
    allowed_s: float
    slots: list[list[Event]] = field(default_factory=list)
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ProcessHandle:
    """One strategy process, seen from the server. Its parent, the guard, was started by the server; see `guard.py`.

    `pid` is the strategy process's own. `exclusive` means that it runs only one session, `dead` that it has ended or
    was killed, `has_stray_threads` that a thread of a closed session still runs in it.
    """

    def __init__(self, process: asyncio.subprocess.Process, settings: Settings, *, exclusive: bool) -> None:
        self.pid = process.pid
        self.exclusive = exclusive
        self.clients: set[HostClient] = set()
        self.loaded: dict[str, str] = {}
        self.dead = False
        self.has_stray_threads = False
        self._process = process
        self._settings = settings
        self._psutil = psutil.Process(process.pid)
        self._rss = 0
        self._requests: deque[_Request] = deque()
        self._last_answer_s = 0.0
        self._kill_reason: StrategyFailedError | None = None
        self._reading, self._logging = _own_task(self._read()), _own_task(self._log_output())

    @property
    def ended(self) -> bool:
        """Whether the process has ended and every request has its answer."""
        return self._reading.done()

    @property
    def exceeded_limit(self) -> bool:
        """Whether it was killed because a strategy took too much."""
        return self._kill_reason is not None

    @property
    def memory_bytes(self) -> int:
        """The memory it had at its last answer."""
        return self._rss

    @property
    def has_slow_client(self) -> bool:
        """Whether a session in it delays others."""
        return any(client.is_slow for client in self.clients)

    def fits(self, files: Mapping[str, str]) -> bool:
        """Whether it has not loaded another version of these files (path -> SHA-256)."""
        return all(self.loaded.get(path, digest) == digest for path, digest in files.items())

    def send(
        self, request: Mapping[str, Any], allowed_s: float, client: HostClient | None = None
    ) -> asyncio.Future[Answer]:
        """Send a request; the future has its answer, or raises `StrategyFailedError` or `StrategyProcessLostError`.

        `allowed_s` is the longest time without an answer.
        """
        request_ = _Request(client, allowed_s)
        assert self._process.stdin is not None
        if self._process.stdin.is_closing():  # It has died, before `_read` noticed, or has closed its pipe.
            self.kill()
        if self.dead:
            request_.answer.set_exception(StrategyProcessLostError())
            request_.answer.add_done_callback(_ignore_error)
            return request_.answer
        if not self._requests:
            self._last_answer_s = asyncio.get_running_loop().time()
        self._requests.append(request_)
        self._process.stdin.write(frame(json.dumps(request, default=str, separators=(",", ":"))))
        return request_.answer

    def check_limits(self, now_s: float) -> None:
        """Kill the process if its current request takes too long or too much memory."""
        if self.dead or not self._requests:
            return
        current = self._requests[0]
        if now_s - self._last_answer_s > current.allowed_s:
            limit_ms = self._settings.candle_timeout_ms
            self.kill(StrategyFailedError(f"The strategy took more than {limit_ms} ms for a candle."))
        elif current.client is not None:
            with suppress(psutil.Error):
                growth = self._psutil.memory_info().rss - self._rss
                self._check_memory(current.client.memory_growth + growth)

    def restart_timer(self, now_s: float) -> None:
        """Restart the time limit of the current request, because the server did not read answers for a while."""
        self._last_answer_s = now_s

    def kill(self, reason: StrategyFailedError | None = None) -> None:
        """Kill the process and everything it has started; its current request fails with `reason`."""
        self._kill_reason = self._kill_reason or reason
        self.dead = True
        if self._process.returncode is None:
            with suppress(ProcessLookupError):  # Not `Process.terminate`, which may take the exit code from asyncio.
                os.kill(self._process.pid, signal.SIGTERM)
                os.kill(self._process.pid, signal.SIGCONT)

    async def close(self) -> None:
        """Kill the process and wait for its end."""
        self.kill()
        await self._reading

    async def _read(self) -> None:
        """Read answers until the pipe ends, then fail the pending requests."""
        assert self._process.stdout is not None
        try:
            while True:
                header = await self._process.stdout.readexactly(HEADER_BYTES)
                size = int.from_bytes(header, "big")
                if size > FRAME_BYTES:
                    raise ProtocolError
                self._take_answer(*decode_answer(await self._process.stdout.readexactly(size)))
        except (asyncio.IncompleteReadError, ConnectionError):
            _log.debug("strategy process %d ended", self.pid)
        except (ProtocolError, KeyError, TypeError, IndexError):
            self.kill(StrategyFailedError("The strategy corrupted its process (invalid response)."))
        if not self.dead and self._requests:
            _log.warning("strategy process %d ended during a request", self.pid)
        self.dead = True
        self._fail_pending(await self._wait_for_exit())

    async def _wait_for_exit(self) -> int:
        """Return the exit code; the guard kills a process that only closed its pipe."""
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.transport.abort()
        code = await self._process.wait()
        await self._logging
        return launch.exit_code(self._settings, code)

    async def _log_output(self) -> None:
        """Log what the strategies print; a line of the guard says why it has killed the process."""
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            if line.startswith(MESSAGE):
                self._kill_reason = StrategyFailedError(line.removeprefix(MESSAGE).decode().strip())
                continue
            text = _printable(line)
            if text and _output.hasHandlers():
                _output.info("strategy process %d: %s", self.pid, text)
            elif text:
                sys.stderr.write(f"{text}\n")

    async def find_pid(self) -> None:
        """Find out the pid of the strategy process, once it has answered and before it imports a strategy."""
        with suppress(psutil.Error):
            self.pid = await asyncio.to_thread(launch.strategy_pid, self._process.pid)
            self._psutil = psutil.Process(self.pid)

    def _take_answer(self, header: dict[str, Any], slots: list[list[Event]]) -> None:
        self._last_answer_s = asyncio.get_running_loop().time()
        request = self._requests[0]
        request.slots += slots
        if not header["done"]:
            return
        self.has_stray_threads = self.has_stray_threads or header.get("strayThreads") is True
        if request.client is not None:
            request.client.memory_growth += header["rss"] - self._rss
            self._check_memory(request.client.memory_growth)
        self._rss = header["rss"]
        if self._kill_reason is None:
            self._requests.popleft()
            if not request.answer.done():
                request.answer.set_result((header, request.slots))
        if self.has_stray_threads and not self.clients:
            self.kill()

    def _check_memory(self, growth: int) -> None:
        """Kill the process if it grew too much while it ran one session."""
        limit_mb = self._settings.strategy_memory_mb
        if growth > limit_mb << 20:
            self.kill(StrategyFailedError(f"The strategy took more than {limit_mb} MB of memory."))

    def _fail_pending(self, exit_code: int) -> None:
        """Fail the pending requests: the first one with the reason, all others with `StrategyProcessLostError`."""
        for index, request in enumerate(self._requests):
            if not request.answer.done():
                request.answer.set_exception(self._exit_error(exit_code) if index == 0 else StrategyProcessLostError())
                request.answer.add_done_callback(_ignore_error)
        self._requests.clear()

    def _exit_error(self, exit_code: int) -> Exception:
        if self._kill_reason is not None:
            return self._kill_reason
        if exit_code >= 0:
            return StrategyFailedError(f"The strategy ended its process with exit code {exit_code}.")
        return StrategyProcessLostError(f"signal {-exit_code}")


class StrategyUsage(NamedTuple):
    """Strategy processes that live, their sessions and memory; those started and those killed at a limit so far."""

    alive: int
    sessions: int
    memory_bytes: int
    started: int
    killed: int


class ProcessPool:
    """The strategy processes of this server process."""

    def __init__(self, settings: Settings) -> None:
        launch.require_sandbox(settings)
        self._settings = settings
        self._processes: list[ProcessHandle] = []
        self._started = self._killed = 0
        self._starting = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None

    @property
    def pids(self) -> list[int]:
        """The pids of the living processes."""
        return [process.pid for process in self._processes if not process.dead]

    @property
    def usage(self) -> StrategyUsage:
        """How much strategies use at the moment."""
        alive = [process for process in self._processes if not process.dead]
        sessions = sum(len(process.clients) for process in alive)
        memory = sum(process.memory_bytes for process in alive)
        killed = self._killed + sum(process.exceeded_limit for process in self._processes)
        return StrategyUsage(len(alive), sessions, memory, self._started, killed)

    async def acquire(self, files: Mapping[str, str], *, exclusive: bool = False) -> ProcessHandle:
        """Return a process without another version of these files; with `exclusive` one without sessions."""
        async with self._starting:
            self._killed += sum(process.exceeded_limit for process in self._processes if process.ended)
            self._processes = [process for process in self._processes if not process.ended]
            shared = [] if exclusive else self._shared()
            fitting = [process for process in shared if process.fits(files)]
            chosen = min(fitting, key=_load, default=None)
            if chosen is None or (chosen.clients and len(shared) < self._max_shared(shared)):
                chosen = await self._start(exclusive=exclusive)
            chosen.loaded |= files
            return chosen

    @property
    def has_capacity(self) -> bool:
        """Whether one more strategy may have its own process."""
        exclusive = sum(process.exclusive for process in self._processes if not process.dead)
        return exclusive < _OWN_PROCESSES * self._settings.children

    def _shared(self) -> list[ProcessHandle]:
        """Return the processes that sessions can share, without those with stray threads.

        If more than `ZEON_CHILDREN` processes have stray threads, they are included.
        """
        shared = [process for process in self._processes if not (process.exclusive or process.dead)]
        clean = [process for process in shared if not process.has_stray_threads]
        return clean if len(shared) - len(clean) <= self._settings.children else shared

    def _max_shared(self, shared: Sequence[ProcessHandle]) -> int:
        """Return how many shared processes are allowed: one more for each with a slow strategy, up to twice as many."""
        slow = sum(process.has_slow_client for process in shared)
        return self._settings.children + min(self._settings.children, slow)

    def release(self, process: ProcessHandle, client: HostClient) -> None:
        """Remove a session from its process; an exclusive process ends with its session."""
        process.clients.discard(client)
        if process.exclusive:
            process.kill()

    async def close(self) -> None:
        """End all processes."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        async with self._starting:
            await asyncio.gather(*(process.close() for process in self._processes))
            self._processes = []

    async def _start(self, *, exclusive: bool) -> ProcessHandle:
        subprocess = await launch.start_process(self._settings)
        process = ProcessHandle(subprocess, self._settings, exclusive=exclusive)
        self._processes.append(process)
        self._started += 1
        await process.send({"call": "hello"}, _START_S)
        await process.find_pid()
        if self._watching is None or self._watching.done():
            self._watching = _own_task(self._watch())
        return process

    async def _watch(self) -> None:
        """Check the limits of every process ten times a second until cancelled."""
        loop = asyncio.get_running_loop()
        checked_s = loop.time()
        while True:
            await asyncio.sleep(_CHECK_S)
            now_s = loop.time()
            for process in self._processes:
                if now_s - checked_s > _STALL_S:
                    process.restart_timer(now_s)
                else:
                    process.check_limits(now_s)
            checked_s = now_s


def _load(process: ProcessHandle) -> tuple[bool, bool, int]:
    """Return the sort key for a new session: a smaller one is a better process."""
    return process.has_stray_threads, process.has_slow_client, len(process.clients)


def _own_task(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start a task that serves many sessions, so that its log lines do not name the one that has started it."""
    return asyncio.get_running_loop().create_task(work, context=Context())


def _printable(line: bytes) -> str:
    """Return a line of output without characters that control a terminal."""
    text = line.decode(errors="replace").replace("\t", "    ")
    return "".join(character if character.isprintable() else "?" for character in text.rstrip())


def _ignore_error(answer: asyncio.Future[Answer]) -> None:
    """Retrieve the error of a request whose caller may be gone."""
    if not answer.cancelled():
        answer.exception()
