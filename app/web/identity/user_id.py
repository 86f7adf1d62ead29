"""Ids of users that come from outside: from a claim of a JWT, or from a header of a proxy."""

from __future__ import annotations

from typing import Any, TypeGuard

MAX_LENGTH = 255
"""Longest id of a user, in characters; that of an OIDC `sub`."""


def is_user_id(value: Any) -> TypeGuard[str]:
    """Whether a value can be the id of a user: a text of printable characters without spaces around it."""
    return isinstance(value, str) and 0 < len(value) <= MAX_LENGTH and value.isprintable() and value == value.strip()
