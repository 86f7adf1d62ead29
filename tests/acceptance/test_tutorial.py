"""The author's walk of docs/tutorial.md: its strategy and its seven commands, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT
from tests.support.postgres import Database

PAGE = (ROOT / "docs" / "tutorial.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_seven_commands_lead_to_a_searched_and_compared_strategy(database: Database, tmp_path: Path) -> None:
    (strategy,), commands = blocks("python"), blocks("sh")
    assert len(commands) == 7
    (tmp_path / "dip.py").write_text(strategy)
    program = tmp_path / "bin" / "zeon"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m app.cli.main "$@"\n')
    program.chmod(0o755)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ZEON_", "DATABASE_URL"))}
    environment = inherited | {
        "DATABASE_URL": database.url,
        "ZEON_MIGRATE_URL": database.owner_url,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-c", "set -eu\n" + "".join(commands)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "dip on BTCUSDT 1h of demo, finished" in done.stdout
    assert "No lookahead: 744 slots" in done.stdout
    assert "The session stays" in done.stderr
    assert "The strategy wrote nothing" not in done.stderr
    assert (tmp_path / "dip.html").read_text().count("<tr>") > 50
    statuses = database.query("SELECT status, count(*) FROM sim_sessions GROUP BY status")
    assert statuses == [("finished", 7)], "three runs and the four of the search"
    assert "The trades part at trade" in done.stdout
