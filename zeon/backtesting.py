"""`backtest(…)`: run a strategy over cached candles in a script or a notebook, and read the results.

The run is a session in the database, as of `zeon backtest`; pandas is imported only when a table is read.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from app.cli.options import time_ms
from app.cli.report import figures as shown
from app.cli.report.backtest import BacktestOutcome, run_backtest
from app.cli.report.failure import failure_lines
from app.cli.report.session_page import read_page
from app.cli.run import Context, locate, run_on
from app.db.candles import window
from app.db.log import events
from app.db.pool import Connection
from app.domain.session import FINISHED
from app.domain.trading.strategy import Strategy
from app.errors import BadInputError, SimError
from app.settings import Settings, load
from app.strategy_hosts.local_strategy import find_local, local_strategy

if TYPE_CHECKING:
    import pandas

T = TypeVar("T")
_CANDLES = 10_000_000
"""More candles than a range may have."""


class BacktestFailedError(SimError):
    """The strategy failed; the message has its error, its line and the candle."""


def backtest(
    strategy: str | type[Strategy],
    symbol: str | Sequence[str],
    start: int | str,
    end: int | str,
    *,
    timeframe: str = "1h",
    params: Mapping[str, Any] | None = None,
    discard: bool = False,
    settings: Mapping[str, Any] | None = None,
    **session: Any,
) -> Backtest:
    """Run a strategy over cached candles to the end of a range and return its results.

    `strategy` is a class, also one of a notebook, or what `zeon backtest` takes: a file, a folder, `module:Class`, a
    slug. Times are ms since the epoch or ISO 8601, UTC. `params` are the strategy's; other keywords are fields of a
    session, in snake case: `initial_cash=500`, `fee_bps=5`, `extra_timeframes=["4h"]`. `settings` replace settings of
    the environment, as in `{"database_url": "postgresql://…"}`. Works while an event loop runs. Raises
    `BacktestFailedError` if the strategy fails, `BadInputError` or `MissingCandlesError` if it cannot run.
    """
    from pydantic.alias_generators import to_camel

    used = load(**(settings or {}))
    local = find_local(strategy) if isinstance(strategy, str) else local_strategy(strategy)
    request = {to_camel(name): value for name, value in session.items()} | {
        "profileSlug": strategy if local is None else local.slug,
        "symbols": [symbol] if isinstance(symbol, str) else list(symbol),
        "timeframe": timeframe,
        "startMs": _ms(start),
        "endMs": _ms(end),
        "config": dict(params or {}),
    }
    with locate(used, set_up=True) as location:
        outcome = _outside_loop(lambda: run_backtest(used, location, request, local, discard=discard))
    found = outcome.session
    if found.status != FINISHED:
        lines = failure_lines(found.error or f"The session is {found.status}.", found.error_details)
        raise BacktestFailedError("\n".join(lines), details=found.error_details)
    return Backtest(outcome, used)


class Backtest:
    """The results of a run. Tables are pandas DataFrames with times in UTC, read from the log on first use."""

    def __init__(self, outcome: BacktestOutcome, settings: Settings) -> None:
        self._outcome = outcome
        self._settings = settings
        self._tables: dict[str, Any] = {}

    @property
    def id(self) -> UUID:
        """The id of the session, for `zeon report`, `zeon verify` and the page."""
        return self._outcome.session.id

    @property
    def stats(self) -> dict[str, Any]:
        """The figures by name, see docs/statistics.md: exact numbers, None if undefined."""
        return dict(self._outcome.figures)

    @property
    def wrote_nothing(self) -> bool:
        """Whether the strategy gave no signal, order, plot or message."""
        return self._outcome.wrote_nothing

    @property
    def equity(self) -> pandas.DataFrame:
        """The equity event of each candle, by time: cash, equity, realizedPnl, drawdownPct and the others."""
        return self._table("equity")

    @property
    def trades(self) -> pandas.DataFrame:
        """One row per closed lot, with `entryTime` and `exitTime`."""
        table = self._table("trade")
        for name in ("entry", "exit"):
            if f"{name}Ts" in table:
                table[f"{name}Time"] = _pandas().to_datetime(table[f"{name}Ts"], unit="ms", utc=True)
        return table

    @property
    def orders(self) -> pandas.DataFrame:
        """One row per change of an order."""
        return self._table("order")

    @property
    def fills(self) -> pandas.DataFrame:
        """One row per fill."""
        return self._table("fill")

    @property
    def plots(self) -> pandas.DataFrame:
        """The lines of the strategy, a column each, by time."""
        table = self._table("plot")
        return (
            table.pivot_table(index=table.index, columns="name", values="value", aggfunc="last")
            if len(table)
            else table
        )

    @property
    def candles(self) -> pandas.DataFrame:
        """The cached candles of the range, by open time."""
        spec = self._outcome.session.spec
        if "candles" not in self._tables:
            rows = self._read(
                lambda conn: window(
                    conn, spec.venue, spec.symbols, spec.timeframe, spec.start_ms - 1, spec.end_ms, _CANDLES
                )
            )
            table = _pandas().DataFrame(rows, columns=rows[0]._fields if rows else [])
            numbers = [name for name in ("open", "high", "low", "close", "volume") if name in table]
            table = table.astype(dict.fromkeys(numbers, float))
            self._tables["candles"] = table.set_index(
                _pandas().to_datetime(table.pop("open_time_ms"), unit="ms", utc=True)
            )
        return self._tables["candles"].copy()

    def html(self, path: str | Path | None = None) -> str:
        """Return the report as one page that works offline, and write it to a file if one is named."""
        page: str = self._read(lambda conn: read_page(conn, self._outcome.session, self._outcome.figures))
        if path is not None:
            Path(path).write_text(page, "utf-8")
        return page

    def __repr__(self) -> str:
        """Return the figures as lines, as `zeon backtest` prints them."""
        spec = self._outcome.session.spec
        lines = list(shown.lines(self._outcome.figures))
        width = max(len(name) for name, _ in lines)
        title = f"{spec.profile_slug} on {' '.join(spec.symbols)} {spec.timeframe}"
        return "\n".join([title, *(f"{name:<{width}}  {value:>21}" for name, value in lines)])

    def _table(self, type_: str) -> pandas.DataFrame:
        """Return the payloads of the events of a type, by ts; numbers as float64."""
        if type_ not in self._tables:
            rows = self._read(lambda conn: _payloads(conn, self.id, type_))
            pd = _pandas()
            table = pd.DataFrame([payload for _, payload in rows])
            table.index = pd.to_datetime([ts for ts, _ in rows], unit="ms", utc=True)
            table.index.name = "time"
            self._tables[type_] = table
        return self._tables[type_].copy()

    def _read(self, read: Callable[[Connection], Any]) -> Any:
        async def work(context: Context) -> Any:
            return await context.database.run(read)

        with locate(self._settings) as location:
            return _outside_loop(lambda: asyncio.run(run_on(self._settings, location, work)))


async def _payloads(connection: Connection, session_id: UUID, type_: str) -> list[tuple[int, dict[str, Any]]]:
    """Return ts and payload of all events of a type."""
    found: list[tuple[int, dict[str, Any]]] = []
    after: int | None = 0
    while after is not None:
        page = await events.frames(connection, session_id, after, types=[type_])
        for line in page.body.decode().split("\n"):
            if line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                found.append((event["ts"], event["payload"]))
        after = page.last_seq
    return found


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise SimError("Tables need pandas: pip install 'zeon-sim[pandas]'") from None
    return pandas


def _ms(time: int | str) -> int:
    if isinstance(time, int):
        return time
    try:
        return time_ms(time)
    except Exception as error:
        raise BadInputError(str(error)) from None


def _outside_loop(work: Callable[[], T]) -> T:
    """Run work that has an event loop of its own; in a thread where one runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(work).result()
