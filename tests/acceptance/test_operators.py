"""What operators use: the log, the alert rules, the unit of systemd, and the health check of the image."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.test_sessions import DAY, NEW, store_a_day
from tests.paths import ROOT
from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.server_process import StartServer, free_port
from tests.support.strategies import misbehaving, write


def lines_of(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_the_log_is_json_that_names_session_seq_user_and_request(
    database: Database, start_server: StartServer, tmp_path: Path
) -> None:
    write(tmp_path, "bad", misbehaving("print('so\\nfar'); 1 / 0", at=3))
    asyncio.run(store_a_day(database))
    server = start_server(database, ZEON_STRATEGIES=tmp_path, ZEON_LOG_LEVEL="debug")
    cli = Cli(database, ZEON_STRATEGIES=tmp_path)
    session_id = cli.json(*NEW, *DAY, "--profile", "bad", "--ms-per-candle", 0)["id"]
    request = [f"{server.url}/api/sim/sessions/{session_id}/start", "-H", "X-Request-Id: from-the-proxy"]
    subprocess.run(["curl", "-sfX", "POST", *request], check=True, capture_output=True)
    deadline = time.monotonic() + 20
    while "failed: ZeroDivisionError" not in server.output:
        assert time.monotonic() < deadline, server.output
        time.sleep(0.02)
    lines = lines_of(server.output)
    (failed,) = [line for line in lines if line["message"].endswith("failed: ZeroDivisionError: division by zero")]
    # The tail ends behind the event that says so, which comes after the line of the log.
    last_seq = json.loads(cli("tail", session_id, "--json").splitlines()[-1])["seq"]
    assert failed["session"] == session_id
    assert failed["user"] == "local"
    assert 0 < failed["seq"] < last_seq
    assert (failed["level"], failed["logger"]) == ("info", "app.engine.replay.session_log")
    (started,) = [line for line in lines if line.get("requestId") == "from-the-proxy"]
    assert started["message"] == f"POST /api/sim/sessions/{session_id}/start 200"
    assert (started["session"], started["user"], started["level"]) == (session_id, "local", "debug")
    printed = [line for line in lines if line["logger"] == "app.strategy_output"]
    assert [line["message"].partition(": ")[2] for line in printed] == ["so", "far"]
    assert not any("session" in line or "requestId" in line for line in printed)  # The process has others too.
    healthy = {**os.environ, "PORT": str(server.port)}
    check = [sys.executable, "-m", "app.healthcheck"]
    assert subprocess.run(check, env=healthy, cwd=ROOT, check=False).returncode == 0
    assert subprocess.run(check, env={**healthy, "PORT": str(free_port())}, cwd=ROOT, check=False).returncode == 1


def test_the_log_is_text_where_that_is_chosen(database: Database, start_server: StartServer) -> None:
    server = start_server(database, ZEON_LOG_FORMAT="text")
    assert f"INFO app.cli.serve: serving on {server.url}\n" in server.output


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
def test_prometheus_accepts_the_alert_rules() -> None:
    checked = subprocess.run(
        ["promtool", "check", "rules", "deploy/alerts.yml"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "zeon.service").read_text()
    assert "ExecStart=/opt/zeon/.venv/bin/zeon serve" in text
    unit = tmp_path / "zeon.service"
    unit.write_text(text.replace("/opt/zeon/.venv/bin/zeon", shutil.which("true") or "").replace("/opt/zeon", "/usr"))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
