"""A strategy of a user's own, in a file outside the project, run and tested by what the documents say."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
from pathlib import Path

from app.candles.sources import synthetic
from app.db import candles
from app.db.pool import Database as Pool
from tests.paths import ROOT
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS
from tests.support.server_process import StartServer

README = (ROOT / "README.md").read_text()
DOCS = (ROOT / "docs" / "strategies.md").read_text()


def blocks(text: str, heading: str) -> list[str]:
    """Return the indented blocks under a heading."""
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    parts = section.replace("\n\n    ", "\n\0    ").split("\n\n")
    results = [part.split("\0")[1] for part in parts if "\0" in part]
    return ["\n".join(line.removeprefix("    ") for line in part.splitlines()) for part in results]


def store_a_day(database: Database) -> None:
    async def work() -> None:
        pool = Pool(database.url, size=1)
        await pool.open()
        made_up = synthetic.candles("BTCUSDT", "1m", START_MS, START_MS + 1440 * MINUTE)
        await pool.run(candles.store, "demo", "BTCUSDT", "1m", made_up)
        await pool.close()

    asyncio.run(work())


def test_the_readme_runs_a_user_strategy(database: Database, start_server: StartServer, tmp_path: Path) -> None:
    prepare, use = blocks(README, "Your own strategy")
    program = tmp_path / "bin" / "zeon"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m app.cli.main "$@"\n')
    program.chmod(0o755)
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ZEON_")},
        "HOME": str(tmp_path),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": database.url,
        "ZEON_MIGRATE_URL": database.owner_url,
    }

    def sh(script: str, folder: Path) -> str:
        done = subprocess.run(
            ["sh", "-e"], input=script, env=env, cwd=folder, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert prepare.splitlines()[-1] == "make run"
    sh(prepare.removesuffix("make run"), ROOT)
    store_a_day(database)
    start_server(database, ZEON_STRATEGIES=tmp_path / "zeon-strategies", ZEON_CANDLE_TIMEOUT_MS=20_000)
    output = sh(use, tmp_path)
    assert "breakout_with_stop" in output
    assert "long BTCUSDT: " in output
    result = database.query("SELECT status, error, profile_slug, config::text FROM sim_sessions")
    assert result == [("finished", None, "tight", '{"entry": 10, "stop_pct": 0.1}')]
    written = dict(database.query("SELECT type, count(*) FROM sim_events GROUP BY type"))
    assert min(written[type_] for type_ in ("signal", "order", "fill", "trade", "plot")) > 0


def test_the_documents_test_of_a_strategy_passes(tmp_path: Path) -> None:
    code = DOCS.split("## Test a strategy\n")[1].split("```python\n")[1].split("```")[0]
    path = f"{ROOT}:{ROOT / 'examples' / 'strategies'}"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, check=True)
