"""Count refused calls by reason."""

from __future__ import annotations

from collections import Counter

from app.errors import ForeignOriginError, SimError

Refusals = Counter[str]
"""Refused calls of this process by reason."""
WRONG_HOST = "wrong_host"
_REASONS = {
    401: "unauthorized",
    403: "forbidden",
    408: "timeout",
    413: "too_large",
    414: "url_too_long",
    429: "too_many_requests",
    431: "headers_too_large",
    503: "unavailable",
}
"""The reason of an error without a code, by its status. Errors with another status are answers, not refusals."""


def count_refusal(refusals: Refusals, error: SimError) -> None:
    """Count an error if it refuses a call: by its code, else by its status."""
    if error.status in _REASONS:
        foreign = isinstance(error, ForeignOriginError)
        refusals["foreign_origin" if foreign else error.code or _REASONS[error.status]] += 1
