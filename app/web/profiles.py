"""The strategies a session can name."""

from __future__ import annotations

from typing import Any, NamedTuple

from app.errors import BadInput


class Profile(NamedTuple):
    """A strategy: its slug, the JSON schema of its parameters, and where it comes from."""

    slug: str
    parameters: dict[str, Any]
    source: str


def profiles() -> list[Profile]:
    """Return every profile there is."""
    return [Profile("none", {"type": "object", "properties": {}}, "built-in")]


def profile(slug: str) -> Profile:
    """Return the profile with a slug; raises `BadInput`."""
    found = {each.slug: each for each in profiles()}
    if slug not in found:
        raise BadInput(f"profileSlug: there is no profile {slug[:64]!r}; there is {', '.join(found)}")
    return found[slug]
