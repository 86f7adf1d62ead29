"""What is told of an error in a strategy: its last line, and where it was raised in the strategy's own code."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

from app.errors import BadInputError, StrategyFailedError

_APP = str(Path(__file__).parents[1])
_LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))
_MAX_EXCEPTION_TEXT = 2000
"""How many characters of an exception's text are reported, at most."""
_MAX_SOURCE = 300
DETAILS = ("at", "source", "exception")
"""The parts of `details`."""


class TimeLimitError(BaseException):
    """A strategy took too long; not an `Exception`, so that a strategy does not catch it by accident."""


def last_line(error: BaseException) -> str:
    """Return the last line of a traceback; for an error of this project only its message."""
    text = "".join(traceback.format_exception_only(error)).strip().splitlines()
    own = isinstance(error, BadInputError | StrategyFailedError | TimeLimitError)
    line = f"{error}" if own else text[-1] if text else type(error).__name__
    return _storable(line)[:1000]


def details(error: BaseException) -> dict[str, str]:
    """Return where an error was raised, that line of the source, and its whole text if it has more than one line."""
    text = _storable("".join(traceback.format_exception_only(error)).strip())
    return _location(error) | ({"exception": text[:_MAX_EXCEPTION_TEXT]} if "\n" in text else {})


def _location(error: BaseException) -> dict[str, str]:
    """Return file, line and function of an error's last frame outside this project and the libraries, and its line.

    A file that Python cannot parse, or a strategy that is created with a wrong value, has no such frame of its own.
    """
    if isinstance(error, SyntaxError) and error.filename:
        at = {"at": f"{Path(error.filename).name}:{error.lineno}"}
        return at | _source(error.text)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_APP)]
    frames = [frame for frame in frames if "importlib" not in frame.filename]
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)] or frames
    if not own:
        return {}
    frame = own[-1]
    return {"at": f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"} | _source(frame.line)


def _source(line: str | None) -> dict[str, str]:
    text = _storable(line or "").strip()
    return {"source": text[:_MAX_SOURCE]} if text else {}


def _storable(text: str) -> str:
    """Return text without characters that Postgres cannot store."""
    return text.encode(errors="replace").decode().replace("\0", "?")
