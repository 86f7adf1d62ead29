"""Every error that a caller can get.

The docstring is the default message; the class holds the HTTP status, the SQLSTATE, and how a loop recovers from it.
"""

from __future__ import annotations

from enum import Enum
from typing import Any


class Recovery(Enum):
    """How a loop recovers from an error."""

    GIVE_UP = "give up"
    """Stop: the same call would fail again."""

    RETRY = "retry"
    """Wait a moment and make the same call again: nothing was lost."""

    REBUILD = "rebuild"
    """Rebuild the state in memory from the log and continue; give up if this happens too often at one candle."""

    ISOLATE = "isolate"
    """Rebuild the state in memory from the log and continue with the strategy in its own process."""


class SimError(Exception):
    """Something went wrong."""

    status = 500
    sqlstate: str | None = None
    code: str | None = None
    codes: tuple[str, ...] = ()
    """The codes among which each place that raises the error chooses, if there are several."""
    recovery = Recovery.GIVE_UP

    def __init__(self, message: str | None = None, *, code: str | None = None, details: Any = None) -> None:
        super().__init__(message or type(self).__doc__ or "")
        self.code = code or type(self).code
        self.details = details

    @property
    def message(self) -> str:
        """The sentence shown to the caller."""
        return str(self.args[0])


class BadInputError(SimError):
    """The input is not valid."""

    status = 400


class MalformedError(BadInputError):
    """The request does not have the form that `/openapi.json` describes."""

    code = "malformed"


class SeqAheadError(BadInputError):
    """This seq is ahead of the log."""

    code = "seq_ahead"


class LogShorterError(SimError):
    """The log is shorter than what was sent: the database was replaced by a copy that lacks its newest events."""

    status = 409
    code = "log_shorter"

    def __init__(self, last_seq: int) -> None:
        super().__init__(details={"lastSeq": last_seq})
        self.last_seq = last_seq


class UnauthorizedError(SimError):
    """This call needs a valid token."""

    status = 401


class InsufficientScopeError(SimError):
    """The token may not make this call."""

    status = 403
    code = "insufficient_scope"


class ForeignOriginError(SimError):
    """Calls that change something are not accepted from another origin; add it to ZEON_ALLOWED_ORIGINS to allow it."""

    status = 403


class NotFoundError(SimError):
    """There is nothing here."""

    status = 404
    sqlstate = "ZN001"


class MethodNotAllowedError(SimError):
    """This method is not allowed here."""

    status = 405


class WrongStatusError(SimError):
    """The session's status does not allow this."""

    status = 409
    sqlstate = "ZN002"


class NotOpenError(WrongStatusError):
    """The order is not open."""

    code = "not_open"


class ClientOrderIdUsedError(WrongStatusError):
    """An order of this session has this clientOrderId already."""

    code = "client_order_id_used"


class CursorMovedError(SimError):
    """The session's cursor is not where the call expects it to be."""

    status = 409
    code = "cursor_moved"


class InputsChangedError(SimError):
    """An input of the session has changed since it was started."""

    status = 409
    codes = ("candles_changed", "strategy_changed", "warmup_changed")


class CodeChangedError(InputsChangedError):
    """The code of a strategy has changed since the session was started."""

    code = "strategy_changed"


class ProfileUnknownError(BadInputError):
    """No server that this process knows of can run this profile."""

    status = 422
    code = "profile_unknown"


class DivergedError(SimError):
    """Recomputing the session gives other events than its log has."""

    status = 409
    code = "diverged"


class StrategyFailedError(SimError):
    """The strategy failed."""

    status = 422
    code = "strategy_failed"


class TooLargeError(SimError):
    """The request is too large."""

    status = 413


class WrongContentTypeError(SimError):
    """The body must be sent as application/json."""

    status = 415


class HeadersTooLargeError(SimError):
    """The request's headers are too large."""

    status = 431


class UrlTooLongError(SimError):
    """The request's URL is too long."""

    status = 414


class RequestTimeoutError(SimError):
    """The request did not arrive in time."""

    status = 408


class ClientGoneError(SimError):
    """The client hung up before its answer was ready."""

    status = 499


class MissingCandlesError(SimError):
    """Candles are missing in the range."""

    status = 422
    code = "gaps"


class RejectedFileError(SimError):
    """More than half of the rows of the file were refused, so nothing was stored."""

    status = 422
    code = "file_rejected"


class WarmupMissingError(SimError):
    """There are not enough candles before the range to warm up on."""

    status = 422
    code = "warmup_missing"


class KeyReusedError(SimError):
    """This idempotency key was used with another body."""

    status = 422
    code = "idempotency_key_reused"


class TooManyRequestsError(SimError):
    """Too many requests; slow down.

    `retry_after_s` is for the header Retry-After.
    """

    status = 429
    code = "too_many_requests"
    codes: tuple[str, ...] = ("too_many_heavy_calls", "too_many_running", "too_many_streams")

    def __init__(self, message: str | None = None, *, code: str | None = None, retry_after_s: float = 1) -> None:
        super().__init__(message or "Too many requests; slow down.", code=code)
        self.retry_after_s = retry_after_s


class QuotaError(TooManyRequestsError):
    """The user keeps as much as is allowed."""

    code = "quota"
    codes = ()

    def __init__(self, message: str = "You keep as much as is allowed; delete sessions you no longer need.") -> None:
        super().__init__(message, retry_after_s=60)


class UnavailableError(SimError):
    """The server cannot do this right now; try again."""

    status = 503
    recovery = Recovery.RETRY


class DatabaseAwayError(UnavailableError):
    """The database cannot be reached; try again."""

    code = "database_away"


class IssuerAwayError(UnavailableError):
    """The keys of the issuer of JWTs cannot be read right now, so no JWT can be checked; try again."""

    code = "issuer_away"


class DatabaseFullError(UnavailableError):
    """The database is out of disk space, memory or connections; free some, then try again."""

    code = "database_full"


class DatabaseReadOnlyError(UnavailableError):
    """The database does not accept changes: it is a standby, or not yet the primary; try again."""

    code = "database_read_only"


class BusyError(UnavailableError):
    """Another transaction holds a lock that this call needs; try again."""

    code = "busy"


class SeriesBusyError(BusyError):
    """Another process is storing this series; try again."""


class TooSlowError(UnavailableError):
    """The call took too long in the database and was stopped; ask for less, or try again later."""

    code = "too_slow"


class StrategyProcessLostError(UnavailableError):
    """The strategy's process has ended; try again.

    `suspect` says how it ended, if it was computing for this session and the cause is unknown.
    """

    recovery = Recovery.REBUILD

    def __init__(self, suspect: str | None = None) -> None:
        super().__init__("The strategy's process has ended; try again.")
        self.suspect = suspect


class StrategyTooSlowError(StrategyProcessLostError):
    """The strategy is too slow to share a process; it continues in a process of its own."""

    recovery = Recovery.ISOLATE


class NoRunnerError(UnavailableError):
    """No server process is alive to run the session; start one with `zeon serve`."""

    sqlstate = "ZN004"


class RunnerNameTakenError(SimError):
    """Another living process runs under this name."""


class NoDatabaseError(SimError):
    """The database is empty or older than this version; run `zeon migrate`."""


class NewerDatabaseError(SimError):
    """The database was migrated by a newer version of ZEON sim; use that version."""


class InUseError(SimError):
    """A function or view that must be replaced is used by another object of the database."""


class ServersAliveError(SimError):
    """Servers of an older version use this database; stop them first."""


class RefusedEventError(BadInputError):
    """The log does not take this event."""

    sqlstate = "ZN003"
