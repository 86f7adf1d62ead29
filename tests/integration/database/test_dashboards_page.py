"""docs/operating/dashboards.md: its blocks run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from app.db.setup.location import to_url
from tests.paths import ROOT
from tests.support.client import SESSIONS
from tests.support.postgres import Database
from tests.support.running_server import running_server

PAGE = (ROOT / "docs" / "operating" / "dashboards.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SQL = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
DAY = 1440


@pytest.mark.clients
async def test_what_the_page_tells_pandas_duckdb_and_psql_to_do_works(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "equity.parquet"
    async with running_server(database, candles=DAY) as server:
        session = await server.finished(profileSlug="sma_cross", endMs=1_704_067_200_000 + DAY * 60_000)
        export = f"{SESSIONS}/{session['id']}/export?what=equity&format=parquet"
        file.write_bytes((await server.call("GET", export)).content)
    url = to_url(database.url).replace("postgresql:", "postgresql+psycopg:", 1)
    names: dict[str, Any] = {"url": url, "session_id": session["id"], "file": file}
    for block in PYTHON:
        exec(block, names)
        assert isinstance(names.get("engine"), sqlalchemy.Engine)
        names["engine"].dispose()
    assert names["equity"].index.name == "at"
    assert len(names["equity"]) == DAY
    assert [float(highest) for (highest,) in names["highest"]] == [names["equity"]["equity"].max()]
    rows = database.query(SQL[0].replace(":'trade'", f"'{session['id']}'"))
    assert len(rows) == 60
