"""How the server logs: lines for people on a terminal, one JSON object per line for programs, both on stderr."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final

from pythonjsonlogger.json import JsonFormatter

from app.domain.visible import visible
from app.settings import Settings

Fields = Callable[[], Mapping[str, object]]
_fields: ContextVar[Fields | None] = ContextVar("fields", default=None)
_TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_SECRETS: Final = re.compile(r"\bzeon_(?:share_|bot_)?[\w-]{20,}|\beyJ[\w-]+\.[\w-]+\.[\w-]*")
"""Tokens, keys of links and bots, and JWTs. No message should hold one; one of a library might, with a URL."""
_NAMES: Final = {"asctime": "time", "levelname": "level", "name": "logger", "exc_info": "exception"}


def set_fields(fields: Fields) -> None:
    """Add fields to all that this task and those it starts log; they are read when a line is logged."""
    _fields.set(fields)


def log_to_stderr(settings: Settings) -> None:
    """Log from ZEON_LOG_LEVEL up, in the form of ZEON_LOG_FORMAT; of libraries only warnings and errors."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if _is_json(settings) else TextLines())
    logging.basicConfig(handlers=[handler], force=True)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.getLogger().setLevel(max(level, logging.WARNING))
    logging.getLogger("app").setLevel(level)


def _is_json(settings: Settings) -> bool:
    if settings.log_format == "auto":
        return not sys.stderr.isatty()
    return settings.log_format == "json"


class TextLines(logging.Formatter):
    """Time, level, logger and message in one line, then the traceback, if there is one.

    Characters that steer a terminal are escaped, secrets are blanked.
    """

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(_TEXT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the line of a message."""
        return visible(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a message and its traceback."""
        return _SECRETS.sub("…", visible(super().format(record), keep_lines=True))


class JsonLines(JsonFormatter):
    """Time, level, logger and message, then the fields of the task; secrets are blanked."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s", rename_fields=_NAMES)
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """Return the object of a message."""
        return _SECRETS.sub("...", super().format(record))

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Complete the fields of a line."""
        log_data["level"] = str(log_data["level"]).lower()
        fields = _fields.get()
        if fields is not None:
            log_data |= {name: value for name, value in fields().items() if value is not None}
        return log_data
