"""`zeon serve`: the server, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import logging
import sys

from app.cli.log_format import LogFormatter
from app.settings import Settings, load
from app.web import serve as web

_log = logging.getLogger(__name__)


def serve() -> None:
    """Start the server with the settings of the environment; it pauses its sessions when it stops."""
    settings = load()
    log_to_stderr(settings)
    web.serve(settings, lambda url: _log.info("serving on %s", url))


def log_to_stderr(settings: Settings) -> None:
    """Log to stderr from ZEON_LOG_LEVEL up, with UTC times; log only warnings and errors of libraries."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormatter())
    logging.basicConfig(handlers=[handler], force=True)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.getLogger().setLevel(max(level, logging.WARNING))
    logging.getLogger("app").setLevel(level)
