"""`zeon serve`: the server, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import logging

from app.logs import log_to_stderr
from app.settings import load
from app.web import serve as web

_log = logging.getLogger(__name__)


def serve() -> None:
    """Start the server with the settings of the environment; it pauses its sessions when it stops."""
    settings = load()
    log_to_stderr(settings)
    web.serve(settings, lambda url: _log.info("serving on %s", url))
