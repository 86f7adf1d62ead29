"""How the server's log is written to a terminal: no control characters, and no secrets."""

from __future__ import annotations

import logging
import re
import time

from app.domain.visible import visible

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_SECRETS = re.compile(r"\bzeon_(?:share_|bot_)?[\w-]{20,}|\beyJ[\w-]+\.[\w-]+\.[\w-]*")
"""Tokens, keys of links and bots, and JWTs. No message should hold one; a library's might, with a URL."""


class LogFormatter(logging.Formatter):
    """Writes times in UTC, a message as one line, and dots in place of secrets."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(_FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the line of a message."""
        return visible(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a message, and the traceback, if there is one."""
        return _SECRETS.sub("…", visible(super().format(record), keep_lines=True))
