"""Check that a session continues with the inputs it was started with: warm-up and used candles."""

from __future__ import annotations

from collections.abc import Mapping

from app.candles.cache.warmup import read_warmup, warmup_hash
from app.db import candles, sessions
from app.db.log import events
from app.db.pool import Connection
from app.domain.session import Session
from app.errors import InputsChangedError
from app.strategy_hosts.strategy_catalog import CANDLES_ONLY


async def check_inputs(
    connection: Connection, session: Session, codes: Mapping[str, str] | None, *, accept_revised: bool
) -> None:
    """Check that a session's inputs are those it was started with; at the first start store their hashes.

    `codes` has the present hash of the code of each of its strategies, by the profile's slug; null if another process
    knows them: that one stores it. Raises `InputsChangedError` with code `warmup_changed` or, unless `accept_revised`,
    `candles_changed`; `WarmupMissingError`.
    """
    spec = session.spec
    if spec.profile_slug != CANDLES_ONLY:
        now = warmup_hash(await read_warmup(connection, spec))
        _require_same(session.warmup_hash, now, "warmup_changed", "The warm-up candles before startMs")
        if session.strategy_hash is None and codes is not None:
            await sessions.remember_hashes(
                connection, session.id, strategy_hash=codes[spec.profile_slug], warmup_hash=now
            )
    if session.cursor_ms is None:
        return
    if session.candles_hash is None:  # An earlier version started it, without a fingerprint.
        used = await events.fingerprint(connection, session.id, session.last_seq)
        await sessions.remember_hashes(connection, session.id, candles_hash=used)
    else:
        await _check_candles(connection, session, session.cursor_ms, accept_revised=accept_revised)


async def _check_candles(connection: Connection, session: Session, last_ms: int, *, accept_revised: bool) -> None:
    spec = session.spec
    cached = await candles.fingerprint(connection, spec.venue, spec.symbols, spec.timeframe, spec.start_ms, last_ms)
    full = spec.trading.record == "full"
    if full and cached != session.candles_hash and not await events.revised_candles(connection, session, 1, late=False):
        return  # Only late candles were added, which the session never used.
    if not accept_revised:
        _require_same(session.candles_hash, cached, "candles_changed", "Candles the session has used")
    elif cached != session.candles_hash:
        args = {"was": session.candles_hash, "now": cached}
        body = {"action": "acceptRevised", "args": args, "by": session.user_id}
        await events.append_event(connection, session.id, "control", body)
        await sessions.remember_hashes(connection, session.id, candles_hash=cached)


def _require_same(was: str | None, now: str, code: str, what: str) -> None:
    if was not in (None, now):
        raise InputsChangedError(f"{what} have changed since the session was started.", code=code)
