"""The notebook of examples/, run by Jupyter's kernel while its server is killed and started again."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.clients.following import CANDLES, kill_midway, last_seq, serve, until
from tests.paths import ROOT
from tests.support.postgres import Database
from tests.support.server_process import StartServer

NOTEBOOK = ROOT / "examples" / "session.ipynb"


@pytest.mark.clients
def test_the_notebook_follows_a_session_through_a_killed_server(
    database: Database, start_server: StartServer, tmp_path: Path
) -> None:
    site = serve(database, start_server)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    env = {**os.environ, "ZEON_URL": site.url, "CANDLES": str(CANDLES), "PYTHONPATH": str(ROOT)}
    env["IPYTHONDIR"] = str(tmp_path)
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(lambda: asyncio.run(client.async_execute(env=env)))
        until(lambda: running.done() or database.query("SELECT 1 FROM sim_sessions WHERE last_seq > 0"))
        session_id = str(database.query("SELECT id FROM sim_sessions")[0][0])
        kill_midway(site, session_id)
        running.result()
    count = last_seq(site, session_id)
    assert shown(notebook, "len(events)") == f"({count}, 'finished')"
    assert count > 3 * CANDLES // 2
    assert "drawdownPct" in shown(notebook, "equity[[")
    assert "mean" in shown(notebook, ".describe()")


def shown(notebook: Any, source: str) -> str:
    """Return what the cell with this source shows."""
    cell = next(cell for cell in notebook.cells if source in cell.source)
    return str(cell.outputs[-1]["data"]["text/plain"])
