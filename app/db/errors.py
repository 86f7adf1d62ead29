"""What the driver raises, as errors of our own: one map from SQLSTATE to the error that stands for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from app.errors import BusyError, DatabaseAwayError, DatabaseFullError, SimError, TooSlowError, UnavailableError

BY_SQLSTATE: dict[str, type[SimError]] = {
    "08": DatabaseAwayError,  # connection exceptions
    "57P": DatabaseAwayError,  # the server shuts down, crashed, or does not accept connections yet
    "53": DatabaseFullError,  # disk full, out of memory, too many connections
    "55P03": BusyError,  # lock_timeout
    "40001": BusyError,  # serialization failure, after it was retried
    "40P01": BusyError,  # deadlock, after it was retried
    "57014": TooSlowError,  # statement_timeout
    "25P03": TooSlowError,  # idle_in_transaction_session_timeout
}
"""By SQLSTATE, or by the first characters of one; what `RAISE` in `sql/` uses (`ZN…`) stands on the error classes."""

_PREFIX_LENGTHS = (5, 3, 2)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn what the driver raises into the error tree; what Postgres refuses for its data passes unchanged."""
    try:
        yield
    except psycopg.Error as error:
        raise_domain_error(error)
        raise


def raise_domain_error(error: psycopg.Error) -> None:
    """Raise the error that stands for one of the driver; return when there is none."""
    kind = error_class(error.sqlstate)
    if kind is not None and kind.sqlstate is not None:
        sentences = error.diag.message_primary, error.diag.message_hint
        raise kind(" ".join(filter(None, sentences))) from error
    if kind is not None:
        raise kind() from error
    if error.sqlstate is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        raise DatabaseAwayError() from error
    if isinstance(error, psycopg.OperationalError):
        raise UnavailableError(f"The database failed: {error.diag.message_primary}") from error


def error_class(sqlstate: str | None) -> type[SimError] | None:
    """Return the class of error that stands for an SQLSTATE."""
    if sqlstate is None:
        return None
    if sqlstate.startswith("ZN"):
        return next((kind for kind in _subclasses(SimError) if kind.sqlstate == sqlstate), None)
    return next((BY_SQLSTATE[sqlstate[:n]] for n in _PREFIX_LENGTHS if sqlstate[:n] in BY_SQLSTATE), None)


def _subclasses(kind: type[SimError]) -> Iterator[type[SimError]]:
    for each in kind.__subclasses__():
        yield each
        yield from _subclasses(each)
