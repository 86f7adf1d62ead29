"""Whole sessions against the second broker: volume shares, longer timeframes, warm-up, several symbols and forks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from app.candles.sources import synthetic
from app.db.log import events
from app.domain.market.candle import Candle
from app.domain.trading.settings import BrokerConfig, TradingSettings
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, USER, Engine, running_engine, store
from tests.support.scenarios.seeded_orders import actions_at
from tests.support.second_broker import SecondBroker

COUNT = 300
WARMUP = 45
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
FREE = {"leverage": None, "initial_cash": Decimal(1_000_000)}
"""No margin check: without it the symbols of a session do not touch each other."""
SETTINGS = [
    TradingSettings(**FREE, volume_share=Decimal("0.05"), slippage_bps=Decimal("2.5")),
    TradingSettings(**FREE, volume_share=Decimal("0.3"), fill="same_close", limit_fill="touch"),
    TradingSettings(**FREE, volume_share=Decimal("0.1"), rules=1, taker_fee_bps=Decimal(40)),
]
Fill = tuple[int, int, Decimal, Decimal, Decimal, str]


async def fills(engine: Engine, session_id: UUID, symbol: str) -> list[Fill]:
    """Return the fills of one symbol in a log, without the ids, which all symbols share."""
    page = await engine.pool.run(events.page, session_id, 1, 1_000_000)
    log: list[dict[str, Any]] = json.loads(page.body, parse_float=Decimal)
    found = [(event["ts"], event["payload"]) for event in log if event["type"] == "fill"]
    return [
        (
            (ts - START_MS) // MINUTE - (fill["policy"] == "same_close"),
            1 if fill["side"] == "BUY" else -1,
            *(Decimal(fill[name]) for name in ("qty", "price", "fee")),
            fill["policy"],
        )
        for ts, fill in found
        if fill["symbol"] == symbol
    ]


def expected(trading: TradingSettings, candles: Sequence[Candle]) -> list[Fill]:
    """Return the fills of the second broker."""
    values = {name: getattr(trading, name) for name in trading.__dataclass_fields__}
    config = BrokerConfig(**values, symbols=(candles[0].symbol,), timeframe="1m")
    actions = {number: actions_at(candle) for number, candle in enumerate(candles)}
    second = SecondBroker(config, candles, actions)
    return [(one.bar, one.sign, one.qty, one.price, one.fee, one.policy) for one in second.fills]


@pytest.mark.parametrize("trading", SETTINGS, ids=["next open", "same close", "rules 1"])
async def test_sessions_and_forks_fill_as_the_second_broker_does(database: Database, trading: TradingSettings) -> None:
    async with running_engine(database, strategies="tests.support.scenarios.seeded_orders:SeededOrders") as engine:
        for symbol in SYMBOLS:
            await store(engine.pool, symbol=symbol, count=COUNT + WARMUP, start_ms=START_MS - WARMUP * MINUTE)
        session = await engine.create(
            profile_slug="seeded_orders",
            symbols=SYMBOLS,
            extra_timeframes=("5m", "15m"),
            warmup_candles=WARMUP,
            end_ms=START_MS + COUNT * MINUTE,
            trading=trading,
        )
        await engine.sim.start(USER, session.id)
        done = await engine.finished(session.id)
        assert done.status == "finished", (done.error, done.error_details)
        fork = await engine.sim.fork(USER, session.id, done.last_seq // 2, lambda spec: spec)
        await engine.sim.start(USER, fork.id)
        assert (await engine.finished(fork.id)).status == "finished"
        for symbol in SYMBOLS:
            candles = synthetic.candles(symbol, "1m", START_MS, START_MS + COUNT * MINUTE)
            wanted = expected(trading, list(candles))
            assert len(wanted) > 40
            assert await fills(engine, session.id, symbol) == wanted
            assert await fills(engine, fork.id, symbol) == wanted
        seen = [event["payload"] for event in await engine.log(session.id) if event["type"] == "plot"]
        last = {plot["name"]: plot["value"] for plot in seen}
        warm = WARMUP if trading.rules > 1 else 0  # The first rules showed no longer candles in the warm-up.
        assert last["seen 1m"] == len(SYMBOLS) * (COUNT + WARMUP)
        assert last["seen 15m"] == len(SYMBOLS) * ((COUNT + warm) // 15 - 1)  # The last one comes after the last plot.
