"""The parent of a strategy process: it ends with the server, and then ends all that the strategies have started.

The server starts it with pipes as stdin, stdout and stderr; it forks the strategy process, which takes over the first
two. It imports little, so that it is small. It needs nothing of the server: it ends its processes also when the
server was killed.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress
from typing import Any, Final

from app.strategy_hosts.confinement import ProcessLimits, confine, forbid_core_dumps, limit_tasks, prctl

MESSAGE: Final = b"\0"
"""A line on stderr that begins with this byte is the guard's own: why it has killed the strategy process."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_FIRST_FREE, _END_OF_FILES = 3, 1 << 20
_CHECK_MS = 500
_CHUNK = 65_536
_WINDOW_S = 60.0
_KILL_S = 5.0
"""Processes that the kernel does not end within this time are given up, in seconds."""


def main(config: dict[str, Any]) -> None:
    """Run a strategy process until it, or the server, ends. `config` has `limits` and `candle_ms`."""
    limits = ProcessLimits(**config["limits"])
    os.closerange(_FIRST_FREE, _END_OF_FILES)
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signals, printed, prints = _signal_pipe(), *os.pipe()
    guard_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become_strategy_process(guard_pid, prints)
        confine(limits)
        _serve(config["candle_ms"])
        return
    with suppress(OSError):
        os.setpgid(pid, pid)
    os.close(prints)
    _close_stdout()
    with suppress(OSError):
        limit_tasks(pid, limits)
    _exit_like(Guard(pid, printed, signals, limits).run())


def _serve(candle_ms: int) -> None:
    from app.strategy_hosts.strategy_process import run  # Its imports must not be in the guard's memory.

    run(candle_ms)


def _become_strategy_process(guard_pid: int, prints: int) -> None:
    """Leave the guard's process group, end with the guard, and print to the guard."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    os.setpgid(0, 0)
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guard_pid:
        os._exit(1)
    os.dup2(prints, 2)
    os.closerange(_FIRST_FREE, _END_OF_FILES)


class Guard:
    """Monitors one strategy process."""

    def __init__(self, pid: int, printed: int, signals: int, limits: ProcessLimits) -> None:
        self._pid = pid
        self._printed = printed
        self._signals = signals
        self._limits = limits
        self._window_s = time.monotonic()
        self._left = limits.output_kb << 10
        self._poll = select.poll()
        self._poll.register(0, 0)  # Reports only that the server has closed its end.
        self._poll.register(printed, select.POLLIN)
        self._poll.register(signals, select.POLLIN)

    def run(self) -> int:
        """Wait until the process ends, end everything it has started, and return its wait status."""
        while (status := self._wait_status()) is None:
            events = {file for file, _ in self._poll.poll(_CHECK_MS)}
            if 0 in events:
                self._poll.unregister(0)
                self._kill()
            if self._signals in events and signal.SIGTERM in os.read(self._signals, _CHUNK):
                self._kill()
            if self._printed in events and not self._pass_on_output():
                self._poll.unregister(self._printed)
            self._check_processes()
        self._kill_all()
        os.set_blocking(self._printed, False)
        with suppress(BlockingIOError):
            while self._pass_on_output():
                pass
        return status

    def _wait_status(self) -> int | None:
        """Collect processes that have ended; return the wait status of the strategy process if it is one of them."""
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return None
            if pid == self._pid:
                return status

    def _kill(self) -> None:
        """Kill the strategy process and its group in one step, so that they cannot start more meanwhile."""
        with suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)

    def _kill_all(self) -> None:
        """Kill every process below this one: orphans become its children, also those with a session of their own."""
        deadline = time.monotonic() + _KILL_S
        while time.monotonic() < deadline:
            self._kill()
            for pid in _children(os.getpid()):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.001)

    def _check_processes(self) -> None:
        """Kill the strategy process if it has started too many others."""
        limit = self._limits.processes
        if _count_below(os.getpid(), limit + 2) > limit + 1:
            _write(MESSAGE + f"The strategy started more than {limit} processes.\n".encode())
            self._kill()

    def _pass_on_output(self) -> bool:
        """Write what was printed to stderr, up to the limit of this minute; return whether more may come."""
        text = os.read(self._printed, _CHUNK)
        if not text:
            return False
        now_s = time.monotonic()
        if now_s - self._window_s >= _WINDOW_S:
            self._window_s, self._left = now_s, self._limits.output_kb << 10
        passed = text[: self._left].replace(MESSAGE, b"?")
        if self._left and len(passed) < len(text):
            passed += f"\n(more than {self._limits.output_kb} KB in a minute; the rest is left out)\n".encode()
            self._left = 0
        else:
            self._left -= len(passed)
        _write(passed)
        return True


def _signal_pipe() -> int:
    """Return a pipe that gets a byte for each end of a child and each SIGTERM."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return readable


def _close_stdout() -> None:
    """Leave the pipe of the answers to the strategy process alone, so that its end is the end of the pipe."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


def _children(pid: int) -> list[int]:
    """Return the children of a process; an empty list where the system has no such list."""
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as children:
                found += map(int, children.read().split())
    return found


def _count_below(pid: int, most: int) -> int:
    """Count the descendants of a process, up to `most`."""
    found, rest = 0, [pid]
    while rest and found < most:
        children = _children(rest.pop())
        found += len(children)
        rest += children
    return found


def _write(text: bytes) -> None:
    """Write to the server, unless it has ended."""
    with suppress(OSError):
        while text:
            text = text[os.write(2, text) :]


def _exit_like(status: int) -> None:
    """End as the strategy process has ended."""
    forbid_core_dumps()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with suppress(OSError):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))
