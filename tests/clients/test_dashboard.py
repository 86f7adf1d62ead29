"""Grafana's queries, asked again and again as Grafana does, show a session to its end though its server is killed."""

from __future__ import annotations

import time

import psycopg
import pytest

from tests.clients.following import CANDLES, candles_only, kill_midway, last_seq, serve
from tests.integration.database.test_dashboard import PANELS, as_grafana_sends
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.server_process import StartServer


@pytest.mark.clients
def test_the_panels_follow_a_session_through_a_killed_server(database: Database, start_server: StartServer) -> None:
    site = serve(database, start_server)
    session_id = candles_only(site)
    queries = {
        title: as_grafana_sends(query, session_id, START_MS, START_MS + CANDLES * MINUTE)
        for title, query in PANELS.items()
    }
    site.post(f"/{session_id}/start")
    kill_midway(site, session_id)
    seen: list[int] = []
    deadline = time.monotonic() + 60
    with psycopg.connect(database.url, autocommit=True) as grafana:
        while not seen or seen[-1] < CANDLES:
            assert time.monotonic() < deadline
            rows = {title: grafana.execute(query).fetchall() for title, query in queries.items()}
            seen.append(len(rows["Candles"]))
            assert [row[0] for row in rows["Candles"]] == sorted({row[0] for row in rows["Candles"]})
            assert len(rows["Log"]) == min(500, rows["Log"][0][1])
    assert seen == sorted(seen)
    assert last_seq(site, session_id) > CANDLES
