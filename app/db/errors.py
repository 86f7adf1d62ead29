"""Map from the driver's errors to ours: one table from SQLSTATE to the class of error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from app.db.setup.connection_settings import REFUSED, is_refusal
from app.errors import (
    BusyError,
    DatabaseAwayError,
    DatabaseFullError,
    DatabaseReadOnlyError,
    SimError,
    TooSlowError,
    UnavailableError,
)

BY_SQLSTATE: dict[str, type[SimError]] = {
    "08": DatabaseAwayError,  # connection exceptions
    "57P": DatabaseAwayError,  # the server shuts down, crashed, or does not accept connections yet
    "53": DatabaseFullError,  # disk full, out of memory, too many connections
    "55P03": BusyError,  # lock_timeout
    "40001": BusyError,  # serialization failure, after it was retried
    "40P01": BusyError,  # deadlock, after it was retried
    "57014": TooSlowError,  # statement_timeout
    "25P03": TooSlowError,  # idle_in_transaction_session_timeout
    "25P04": TooSlowError,  # transaction_timeout
    "25006": DatabaseReadOnlyError,  # a standby
}
"""SQLSTATE, or its first characters -> error. The codes of `RAISE` in `sql/` (`ZN…`) are in the error classes."""

_PROTOCOL_VIOLATION = "08P01"

_NO_SLOT = ("too many clients", "too many connections", "remaining connection slots", "no more connections allowed")
"""Parts of the texts with which Postgres and PgBouncer refuse one more connection."""

_PREFIX_LENGTHS = (5, 3, 2)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn the driver's errors into ours; an error about the data itself passes unchanged."""
    try:
        yield
    except psycopg.Error as error:
        raise_domain_error(error)
        raise


def raise_domain_error(error: psycopg.Error) -> None:
    """Raise our error for one of the driver; return if there is none."""
    kind = error_class(error.sqlstate)
    if error.sqlstate == _PROTOCOL_VIOLATION and error.diag.source_function is not None:
        kind = None  # Postgres itself answers, so it is not away; a pooler that ends a connection names no function.
    if kind is not None and kind.sqlstate is not None:
        sentences = error.diag.message_primary, error.diag.message_hint
        raise kind(" ".join(filter(None, sentences))) from error
    if kind is not None:
        raise kind() from error
    if error.sqlstate is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        raise DatabaseAwayError() from error
    if isinstance(error, psycopg.OperationalError | psycopg.InternalError):
        raise UnavailableError(f"The database failed: {error.diag.message_primary}") from error


def connect_error(error: psycopg.Error | None) -> SimError:
    """Return our error for an attempt to connect that failed; libpq gives the cause only as text."""
    text = str(error or "")
    if any(part in text for part in _NO_SLOT):
        return DatabaseFullError()
    return DatabaseAwayError(REFUSED if is_refusal(error) else None)


def error_class(sqlstate: str | None) -> type[SimError] | None:
    """Return our class of error for an SQLSTATE."""
    if sqlstate is None:
        return None
    if sqlstate.startswith("ZN"):
        return next((kind for kind in _all_subclasses(SimError) if kind.sqlstate == sqlstate), None)
    return next((BY_SQLSTATE[sqlstate[:n]] for n in _PREFIX_LENGTHS if sqlstate[:n] in BY_SQLSTATE), None)


def _all_subclasses(kind: type[SimError]) -> Iterator[type[SimError]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _all_subclasses(subclass)
