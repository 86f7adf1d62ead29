"""Text that others wrote, made safe for a terminal and a log."""

from __future__ import annotations

import re

_UNSAFE = (
    "\x00-\x1f\x7f-\x9f"  # Control characters: they begin the sequences that steer a terminal.
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # They change the order in which letters are shown.
    "\u2028\u2029"  # They begin a line.
    "\ud800-\udfff"  # Halves of characters, which no output can encode.
)
_ANY = re.compile(f"[{_UNSAFE}]")
_ANY_BUT_LINES = re.compile(f"(?![\n\t])[{_UNSAFE}]")


def visible(text: str, *, keep_lines: bool = False) -> str:
    """Return a text with each character that steers a terminal as `\\u001b`, which is valid in JSON too.

    With `keep_lines` the ends of lines and tabs remain.
    """
    if text.isprintable() and text.isascii():
        return text
    return (_ANY_BUT_LINES if keep_lines else _ANY).sub(lambda match: f"\\u{ord(match[0]):04x}", text)
