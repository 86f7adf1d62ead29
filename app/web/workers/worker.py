"""One worker of `zeon serve --workers`: a server of its own on the port that all share."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from app.errors import SimError
from app.logs import log_to_stderr
from app.settings import Settings, load
from app.strategy_hosts.confinement import prctl
from app.web.serve import run_server, until_interrupted
from app.web.workers.place import WorkerPlace

_log = logging.getLogger(__name__)
_PR_SET_PDEATHSIG = 1
_END_S = 10.0
"""Seconds that a worker has to end after its parent is gone; then it kills itself."""


def main(number: str, count: str, folder: str, says_ready: str, alive: str, parent: str) -> None:
    """Serve until a signal, or until the parent is gone; after SIGHUP other workers continue the sessions."""
    for descriptor in (int(says_ready), int(alive)):
        os.set_inheritable(descriptor, False)  # Not for the strategy processes.
    _end_with_parent(int(parent), int(alive))
    settings = load()
    log_to_stderr(settings)
    place = WorkerPlace(int(number), int(count), Path(folder))
    try:
        until_interrupted(_serve(settings, place, int(says_ready)))
    except SimError as error:
        _log.error("%s", error.message)
        sys.exit(1)


async def _serve(settings: Settings, place: WorkerPlace, says_ready: int) -> None:
    async with run_server(settings, worker=place) as server:

        def hand_over() -> None:
            server.hand_over()
            signal.raise_signal(signal.SIGINT)

        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hand_over)
        os.write(says_ready, b"1")
        os.close(says_ready)
        await server.wait()


def _end_with_parent(parent: int, alive: int) -> None:
    """End when the parent has ended: at a signal of the kernel on Linux, else when the pipe from it is closed."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    threading.Thread(target=_watch, args=(alive,), daemon=True).start()
    if os.getppid() != parent:
        sys.exit(1)


def _watch(alive: int) -> None:
    os.read(alive, 1)
    if sys.platform != "linux":
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_END_S)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
