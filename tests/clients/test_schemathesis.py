"""schemathesis makes valid and invalid requests from `/openapi.json`, single and in sequences, and finds no fault."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.site import store_candles
from tests.paths import ROOT
from tests.support.postgres import Database
from tests.support.server_process import QUICK, ServerProcess, StartServer

FOLDER = Path(__file__).parent
UNLIMITED = {"ZEON_RATE": 1_000_000, "ZEON_BURST": 1_000_000, "ZEON_HEAVY": 100, "ZEON_HEARTBEAT_MS": 50}
SHORT = ["--phases", "examples,fuzzing", "--max-examples", "2", "--mode", "positive"]
LONG = ["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "25", "--continue-on-failure"]


@pytest.fixture
def server(database: Database, start_server: StartServer) -> ServerProcess:
    store_candles(database, 1500)
    return start_server(database, **{**QUICK, **UNLIMITED})


def run(server: ServerProcess, folder: Path, options: list[str]) -> str:
    """Run schemathesis; returns what it printed, which is the reason if it found a fault."""
    fixed = ["--seed", "7", "--generation-deterministic", "--request-timeout", "30"]
    command = ["-m", "schemathesis.cli", "--config-file", str(FOLDER / "schemathesis.toml"), "run", *fixed, *options]
    env = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.clients.schemathesis_checks", "PYTHONPATH": str(ROOT)}
    url = f"{server.url}/openapi.json"
    done = subprocess.run([sys.executable, *command, url], env=env, capture_output=True, text=True, cwd=folder)
    assert server.alive(), server.output
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    return done.stdout


def test_valid_requests_are_never_refused_for_their_form(server: ServerProcess, tmp_path: Path) -> None:
    assert "Failures" not in run(server, tmp_path, SHORT)


@pytest.mark.clients
@pytest.mark.timeout(1200)
def test_no_request_and_no_sequence_of_calls_shows_a_fault(server: ServerProcess, tmp_path: Path) -> None:
    printed = run(server, tmp_path, LONG)
    print(printed[-3000:])
    assert re.search(r"Stateful \(in ", printed)
    assert int(re.search(r"(\d+) generated", printed)[1]) > 2000  # type: ignore[index]
    assert "Traceback" not in server.output
