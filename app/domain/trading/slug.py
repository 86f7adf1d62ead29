"""The slug of a strategy: the form of a class's name that profiles and requests use."""

from __future__ import annotations

import re


def slug_of(name: str) -> str:
    """Return the slug of a class name: `ema_cross2` for `EMACross2`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
