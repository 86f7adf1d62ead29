"""`zeon serve`: the server, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from app.logs import log_to_stderr
from app.settings import load
from app.web import serve as web
from app.web.workers.parent import serve_workers

_log = logging.getLogger(__name__)


def serve(
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Processes that share the port and use as many cores.")
    ] = 1,
) -> None:
    """Start the server with the settings of the environment; it pauses its sessions when it stops."""
    settings = load()
    log_to_stderr(settings)
    if workers > 1:
        serve_workers(settings, workers, lambda url: _log.info("serving on %s with %d workers", url, workers))
        return
    web.serve(settings, lambda url: _log.info("serving on %s", url))
