"""The answer of a comparison of several sessions."""

from __future__ import annotations

from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BeforeValidator, Field
from pydantic.alias_generators import to_camel

from app.db.log.stats import TradeApart
from app.engine.comparison import Comparison
from app.web.http.models import Answer, Count, Query
from app.web.sim.answers import SessionAnswer
from app.web.sim.diff import settings_of
from app.web.sim.setting_models import Number

MAX_COMPARED = 20


def _ids(value: Any) -> list[str]:
    """Parse ids: separated by commas, given several times, or both."""
    ids = ",".join([value] if isinstance(value, str) else value).split(",")
    if len(set(ids)) < len(ids):
        raise ValueError("a session is named twice")
    return ids


class CompareQuery(Query):
    """Which sessions to compare, and with how many points of each equity curve."""

    ids: Annotated[
        list[UUID],
        Field(min_length=2, max_length=MAX_COMPARED, description="Ids of 2 to 20 sessions, separated by commas."),
        BeforeValidator(_ids, json_schema_input_type=Annotated[list[UUID], Field(min_length=2, max_length=20)]),
    ]
    points: Annotated[int, Count(2, 2000)] = 300


class ComparedPoint(Answer):
    """The equity at a simulated time, ms UTC, and its drawdown in percent of the peak."""

    ts: int
    equity: Number
    drawdown_pct: Number


class ComparedTrade(Answer):
    """A trade as its event has it, with the seq of the event."""

    seq: int
    ts: int
    trade: dict[str, Any]


class TradesPart(Answer):
    """The first trade that not all sessions have: its number, from 1, and what each has there; null for no trade."""

    number: int
    trades: list[ComparedTrade | None]


class CompareAnswer(Answer):
    """Sessions side by side; every list is in their order.

    `settings` are those that differ, with each parameter of the strategy as `config.name`; `figures` are all
    statistics. `tradesPart` is null if all trades are the same.
    """

    sessions: list[SessionAnswer]
    settings: dict[str, list[Any]]
    figures: dict[str, list[Number | None]]
    curves: list[list[ComparedPoint]]
    trades_part: TradesPart | None

    @classmethod
    def of(cls, comparison: Comparison) -> Self:
        """Return the answer of a comparison."""
        compared = comparison.sessions
        names = [name for name in compared[0].figures if name != "seq"]
        return cls(
            sessions=[SessionAnswer.of(each.session) for each in compared],
            settings=_differing([settings_of(each.session) for each in compared]),
            figures={to_camel(name): [each.figures[name] for each in compared] for name in names},
            curves=[
                [
                    ComparedPoint(ts=point.ts, equity=point.equity, drawdown_pct=point.drawdown_pct)
                    for point in each.curve
                ]
                for each in compared
            ],
            trades_part=None
            if comparison.trade is None
            else TradesPart(number=comparison.trade, trades=list(map(_trade, comparison.trades))),
        )


def _trade(trade: TradeApart | None) -> ComparedTrade | None:
    return None if trade is None else ComparedTrade(seq=trade.seq, ts=trade.ts, trade=trade.payload)


def _differing(settings: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for values in settings for name in values)
    rows = {name: [values.get(name) for values in settings] for name in names}
    return {name: values for name, values in rows.items() if any(value != values[0] for value in values)}
