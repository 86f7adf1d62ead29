"""The strategies a session can name."""

from __future__ import annotations

from typing import Any, NamedTuple

from app.strategies.registry import BUILT_IN


class Profile(NamedTuple):
    """A strategy: its slug, the JSON schema of its parameters, and where it comes from."""

    slug: str
    parameters: dict[str, Any]
    source: str


def profiles() -> list[Profile]:
    """Return every profile there is."""
    return [Profile(slug, strategy.parameter_schema(), "built-in") for slug, strategy in BUILT_IN.items()]
