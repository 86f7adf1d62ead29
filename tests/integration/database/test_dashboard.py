"""The Grafana dashboard of examples/grafana: each query runs, and those of a long log read an index."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import UUID

import psycopg
import pytest

from app.candles.sources import synthetic
from app.strategies.sma_cross import SmaCross
from tests.paths import ROOT
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.stored_session import run_strategy, store_session
from tests.support.trading import broker_config

DASHBOARD = json.loads((ROOT / "examples" / "grafana" / "session.json").read_text())
PANELS: dict[str, str] = {panel["title"]: panel["targets"][0]["rawSql"] for panel in DASHBOARD["panels"]}
VARIABLES: dict[str, str] = {
    variable["name"]: variable["query"] for variable in DASHBOARD["templating"]["list"] if variable["type"] == "query"
}
OF_A_LOG = ["Candles", "Equity", "Drawdown", "Lateness of ticks", "Trades", "Log"]
COUNT = 3_000


def as_grafana_sends(query: str, session_id: object, from_ms: int, to_ms: int) -> str:
    """Replace variables and macros as Grafana's Postgres data source does."""
    values = {"session": str(session_id), "symbol": "BTCUSDT", "timeframe": "1m"}
    query = re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], query)
    return query.replace("$__unixEpochFrom()", str(from_ms // 1000)).replace("$__unixEpochTo()", str(to_ms // 1000))


@pytest.fixture
def session_id(database: Database) -> UUID:
    """Write the log of a strategy over two days, and that of another session."""
    on = broker_config(symbols=("BTCUSDT",))
    candles = list(synthetic.candles("BTCUSDT", "1m", START_MS, START_MS + COUNT * MINUTE))
    ids = [store_session(database, run_strategy(SmaCross(), candles, on), on, start_ms=START_MS) for _ in range(2)]
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("ANALYZE sim_events")
    return ids[0]


def test_every_query_of_the_dashboard_runs_and_those_of_a_log_touch_what_they_show(
    database: Database, session_id: UUID
) -> None:
    hour = (START_MS + 1000 * MINUTE, START_MS + 1060 * MINUTE - 1)
    for title, query in PANELS.items():
        statement = as_grafana_sends(query, session_id, *hour)
        rows = database.query(statement)
        assert rows, title
        if title not in OF_A_LOG:
            continue
        plan = database.query(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")[0][0][0]["Plan"]
        read = [node for node in nodes(plan) if node.get("Relation Name") == "sim_events"]
        assert [node["Node Type"] for node in read if node["Node Type"] == "Seq Scan"] == [], title
        touched = sum(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in read)
        assert touched <= 8 * 60, (title, touched)
    candles = database.query(as_grafana_sends(PANELS["Candles"], session_id, *hour))
    assert len(candles) == 60
    assert candles[0][0].isoformat() == "2024-01-01T16:40:00+00:00"


def test_the_variables_name_the_session_its_symbols_and_timeframes(database: Database, session_id: UUID) -> None:
    rows = {name: database.query(as_grafana_sends(query, session_id, 0, 0)) for name, query in VARIABLES.items()}
    assert session_id in {row[0] for row in rows["session"]}
    assert (rows["symbol"], rows["timeframe"]) == ([("BTCUSDT",)], [("1m",)])


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for part in plan.get("Plans", []) for node in nodes(part))]
