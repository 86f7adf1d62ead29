"""Complete a session that a process without its strategy created or started, before its first slot."""

from __future__ import annotations

from dataclasses import replace

from app.candles.cache.warmup import read_warmup, warmup_hash
from app.db import sessions
from app.db.pool import Connection, Database
from app.domain.session import Session
from app.strategy_hosts.strategy_catalog import CANDLES_ONLY, StrategyCatalog


async def complete_first_start(database: Database, strategies: StrategyCatalog, session: Session) -> Session:
    """Check the parameters of a session by its strategy, meet its needs, and store the hashes of its inputs.

    Returns the session as it is if that was done before. Raises `BadInputError` or `WarmupMissingError`.
    """
    spec = session.spec
    started = session.strategy_hash is not None or session.cursor_ms is not None or session.commands
    if started or spec.profile_slug == CANDLES_ONLY:
        return session
    open_settings = {"extra_timeframes": spec.extra_timeframes, "warmup_candles": spec.warmup_candles}
    left = frozenset(name for name, value in open_settings.items() if not value)
    completed = replace(session, spec=await strategies.completed(database, replace(spec, left_to_strategy=left)))

    async def store(connection: Connection) -> Session:
        codes = await strategies.source_hashes(connection, completed)
        warmup = warmup_hash(await read_warmup(connection, completed.spec))
        await sessions.store_settings(connection, completed)
        await sessions.remember_hashes(
            connection, session.id, strategy_hash=codes[spec.profile_slug], warmup_hash=warmup
        )
        return await sessions.get(connection, session.id)

    return await database.run(store)
