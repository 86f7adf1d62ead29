"""Compare several sessions: their results, their equity curves, and where their trades part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from app.db.log import stats
from app.db.log.stats import Point, TradeApart
from app.domain.session import Session
from app.engine.kept_figures import keep_figures
from app.engine.session_service import SessionService


class ComparedSession(NamedTuple):
    """A session with its statistics by their name in SQL, and its equity curve."""

    session: Session
    figures: dict[str, Any]
    curve: list[Point]


class Comparison(NamedTuple):
    """Sessions in the order asked for, and of each the first trade that not all have; null where it has none.

    `trade` is the number of that trade, from 1; null if all trades are the same.
    """

    sessions: list[ComparedSession]
    trade: int | None
    trades: list[TradeApart | None]


async def compare_sessions(sim: SessionService, user_id: str, ids: Sequence[UUID], points: int) -> Comparison:
    """Compare sessions of a user, with at most `points` points of each curve; raises `NotFoundError`."""
    sessions = [await sim.get(user_id, session_id) for session_id in ids]
    compared = [await _with_results(sim, session, points) for session in sessions]
    apart = {trade.session: trade for trade in await sim.database.run(stats.first_trade_apart, ids)}
    number = next((trade.trade for trade in apart.values()), None)
    return Comparison(compared, number, [apart.get(session_id) for session_id in ids])


async def _with_results(sim: SessionService, session: Session, points: int) -> ComparedSession:
    await keep_figures(sim.database, session.id, session.last_seq)
    result = await sim.database.run(stats.stats, session.id)
    return ComparedSession(session, result.figures, await sim.database.run(stats.equity, session.id, points))
