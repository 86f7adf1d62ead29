"""The parent of `zeon serve --workers`: it starts the workers, restarts those that end, and hands signals on."""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.db.setup.location import DatabaseLocation, installed_location
from app.errors import BadInputError, SimError
from app.settings import Settings
from app.web.http.auth import require_safe_bind
from app.web.serve import bind, runner_name, url_of
from app.web.workers.place import MAX_WORKERS, WorkerPlace, create_memory

_STOP_S = 15.0
"""Seconds that a worker may take to end; then it is killed."""
_READY_S = 60.0
"""Seconds that a worker may take to start while the others wait for their restart."""
_PAUSES_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses before a worker that has ended by itself is started again: the more often, the longer."""
_LASTING_S = 60.0
"""A worker that ran this long begins with the shortest pause again."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)

_log = logging.getLogger(__name__)


def serve_workers(settings: Settings, count: int, on_ready: Callable[[str], None] = lambda _: None) -> None:
    """Serve with so many processes until SIGINT or SIGTERM; SIGHUP restarts one after the other.

    `on_ready` is called with the address once all of them answer. Raises `SimError` if the workers cannot start.
    """
    if not 1 <= count <= MAX_WORKERS:
        raise BadInputError(f"--workers: must be from 1 to {MAX_WORKERS}")
    require_safe_bind(settings)
    with ExitStack() as stack:
        settings = settings.model_copy(update={"port": stack.enter_context(_reserved_port(settings))})
        settings = settings.model_copy(update={"runner": runner_name(settings)})
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zeon-")))
        create_memory(folder)
        signals = stack.enter_context(_caught_signals())
        location = stack.enter_context(installed_location(settings))
        parent = WorkerParent(settings, location, WorkerPlace(0, count, folder), signals, on_ready)
        try:
            parent.run()
        finally:
            parent.stop()


@contextmanager
def _reserved_port(settings: Settings) -> Iterator[int]:
    """Keep the port for the workers, which bind it too; raises `BadInputError` if another program has it."""
    with bind(settings) as alone:  # Without SO_REUSEPORT: this fails where another server of ours has the port.
        port = alone.getsockname()[1]
    with bind(settings.model_copy(update={"port": port}), shared=True):
        yield port


@contextmanager
def _caught_signals() -> Iterator[socket.socket]:
    """Let signals arrive as bytes on a socket, so that none is missed and none interrupts other work."""
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
        before_fd = signal.set_wakeup_fd(writer.fileno())
        try:
            yield reader
        finally:
            signal.set_wakeup_fd(before_fd)
            for number, handler in before.items():
                signal.signal(number, handler)


class _Worker:
    """One worker: its process, and whether it answers."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: subprocess.Popen[bytes] | None = None
        self.ready_pipe: int | None = None
        self.ready = False
        self.failures = 0
        self.started_s = 0.0
        self.start_at_s: float | None = 0.0
        """When it is to be started; null while it runs."""
        self.kill_at_s: float | None = None

    @property
    def next_s(self) -> float | None:
        """When something is to be done about it."""
        times = [at for at in (self.start_at_s, self.kill_at_s) if at is not None]
        return min(times, default=None)

    def end(self, number: int) -> None:
        """Send a signal that ends it; it is killed if it does not end."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.kill_at_s = time.monotonic() + _STOP_S

    def close_pipe(self) -> None:
        """Close the pipe on which it says that it is ready."""
        if self.ready_pipe is not None:
            os.close(self.ready_pipe)
            self.ready_pipe = None


class WorkerParent:
    """Keeps the workers running; `run` returns when a signal asks for the end."""

    def __init__(
        self,
        settings: Settings,
        location: DatabaseLocation,
        place: WorkerPlace,
        signals: socket.socket,
        on_ready: Callable[[str], None],
    ) -> None:
        self._on_ready = on_ready
        self._settings = settings
        self._place = place
        self._signals = signals
        self._environment = _environment(settings, location, place.total)
        self._workers = [_Worker(number) for number in range(1, place.total + 1)]
        self._to_renew: deque[_Worker] = deque()
        self._renewing: _Worker | None = None
        self._has_served = False
        # The end of a pipe that only this process writes to: when it ends, however that is, the workers see it.
        self._alive_reader, self._alive_writer = os.pipe()

    def run(self) -> None:
        """Start the workers and look after them; raises `SimError` if the first ones do not start."""
        while True:
            self._start_due()
            arrived = self._signals.fileno()
            ready, _, _ = select.select([arrived, *self._pipes()], [], [], self._timeout_s())
            numbers = self._signals.recv(64) if arrived in ready else b""
            if signal.SIGTERM in numbers or signal.SIGINT in numbers:
                return
            if signal.SIGHUP in numbers:
                self._to_renew = deque(self._workers)
            for worker in self._workers:
                if worker.ready_pipe in ready:
                    self._read_pipe(worker)
                self._reap(worker)
            self._renew_next()

    def stop(self) -> None:
        """End all workers and wait for them."""
        for worker in self._workers:
            worker.end(signal.SIGTERM)
        for worker in self._workers:
            if worker.process is not None:
                try:
                    worker.process.wait(_STOP_S)
                except subprocess.TimeoutExpired:
                    worker.process.kill()
                    worker.process.wait()
            worker.close_pipe()
        for descriptor in (self._alive_reader, self._alive_writer):
            os.close(descriptor)

    def _pipes(self) -> list[int]:
        return [worker.ready_pipe for worker in self._workers if worker.ready_pipe is not None]

    def _timeout_s(self) -> float | None:
        times = [worker.next_s for worker in self._workers if worker.next_s is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _start_due(self) -> None:
        now_s = time.monotonic()
        for worker in self._workers:
            if worker.start_at_s is not None and worker.start_at_s <= now_s:
                self._start(worker)
            if worker.kill_at_s is not None and worker.kill_at_s <= now_s and worker.process is not None:
                _log.warning("worker %d did not end in time; it is killed", worker.number)
                worker.process.kill()
                worker.kill_at_s = None

    def _start(self, worker: _Worker) -> None:
        worker.ready_pipe, says_ready = os.pipe()
        arguments = (worker.number, self._place.total, self._place.folder, says_ready, self._alive_reader, os.getpid())
        environment = self._environment | {"ZEON_RUNNER": f"{self._settings.runner}/{worker.number}"}
        worker.process = subprocess.Popen(
            [sys.executable, "-m", "app.web.workers.worker", *map(str, arguments)],
            env=environment,
            pass_fds=(says_ready, self._alive_reader),
            start_new_session=True,  # Ctrl-C on the terminal reaches the parent only.
        )
        os.close(says_ready)
        worker.ready, worker.started_s, worker.start_at_s = False, time.monotonic(), None
        # A restart of all waits for each one; a worker that never gets ready must not stop it.
        worker.kill_at_s = worker.started_s + _READY_S

    def _read_pipe(self, worker: _Worker) -> None:
        """Note that a worker is ready; the end of the pipe without a word means that it has ended."""
        assert worker.ready_pipe is not None
        if os.read(worker.ready_pipe, 1):
            worker.ready, worker.kill_at_s = True, None
            if not self._has_served and all(other.ready for other in self._workers):
                self._has_served = True
                self._on_ready(url_of(self._settings))
            if self._renewing is worker:
                self._renewing = None
        worker.close_pipe()

    def _reap(self, worker: _Worker) -> None:
        """Plan the next start of a worker that has ended."""
        if worker.process is None or (code := worker.process.poll()) is None:
            return
        was_ready, worker.process, worker.ready, worker.kill_at_s = worker.ready, None, False, None
        worker.close_pipe()
        now_s = time.monotonic()
        if worker is self._renewing and was_ready:
            worker.start_at_s = now_s
            return
        if not self._has_served and not was_ready:
            raise SimError(f"Worker {worker.number} could not start (exit code {code}); see the log above.")
        if now_s - worker.started_s > _LASTING_S:
            worker.failures = 0
        pause_s = _PAUSES_S[min(worker.failures, len(_PAUSES_S) - 1)]
        worker.failures += 1
        _log.warning("worker %d has ended (exit code %d); it is started again in %g s", worker.number, code, pause_s)
        worker.start_at_s = now_s + pause_s

    def _renew_next(self) -> None:
        """Restart the next worker of a rolling restart once the one before answers."""
        if self._renewing is not None and self._renewing.failures:
            self._renewing = None  # It fails to start; it is tried again by itself, and the others are kept.
            self._to_renew.clear()
        while self._to_renew and self._renewing is None:
            worker = self._to_renew.popleft()
            if worker.ready:
                _log.info("worker %d is restarted", worker.number)
                self._renewing = worker
                worker.failures = 0
                worker.end(signal.SIGHUP)


def _environment(settings: Settings, location: DatabaseLocation, count: int) -> dict[str, str]:
    """Return the variables of workers: the database as the parent has opened it, and the port it has bound."""
    environment = dict(os.environ)
    environment |= {"DATABASE_URL": location.url, "PORT": str(settings.port)}
    environment |= {"ZEON_MIGRATE_URL": location.migrate_url, "ZEON_LISTEN_URL": location.listen_url}
    if "children" not in settings.model_fields_set:
        environment["ZEON_CHILDREN"] = str(max(1, settings.children // count))
    return environment
