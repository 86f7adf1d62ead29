"""A server that listens on a Unix socket: who may open it, and that a proxy behind it names the user."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
import uvloop

from app.errors import BadInputError
from app.settings import load
from app.web.serve import run_server
from app.web.unix_socket import unix_socket
from tests.paths import ROOT
from tests.support.client import BODY, SESSIONS
from tests.support.postgres import Database


def test_a_proxy_behind_a_unix_socket_names_the_user(database: Database, tmp_path: Path) -> None:
    """On uvloop, as `zeon serve` runs: its transports differ from asyncio's."""
    path = tmp_path / "zeon.sock"
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_and_call(database, path))
    assert not path.exists()


async def _serve_and_call(database: Database, path: Path) -> None:
    settings = load(
        database_url=database.url,
        migrate_url=database.owner_url,
        socket=path,
        auth="proxy",
        proxy_user_header="X-User",
    )
    transport = httpx2.AsyncHTTPTransport(uds=str(path))
    async with (
        run_server(settings) as server,
        httpx2.AsyncClient(base_url="http://localhost", transport=transport) as it,
    ):
        assert server.url == f"unix:{path}"
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
        with pytest.raises(BadInputError, match="another program listens"), unix_socket(path):
            pass
        assert (await it.get(SESSIONS)).status_code == 401
        answer = await it.post(SESSIONS, json=BODY, headers={"X-User": "anna"})
        assert (answer.status_code, answer.json()["data"]["userId"]) == (201, "anna")
        assert database.query("SELECT name FROM sim_runners") == [(f"{socket.gethostname()}:{path}",)]
        stream = f"{SESSIONS}/{answer.json()['data']['id']}/stream"
        async with it.stream("GET", stream, headers={"X-User": "anna"}) as response:
            assert b"retry:" in await anext(response.aiter_bytes())
        checked = await asyncio.to_thread(_healthcheck, path)
        assert checked == 0


def _healthcheck(path: Path) -> int:
    command = [sys.executable, "-m", "app.healthcheck"]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "ZEON_SOCKET": str(path)}, check=False).returncode


def test_a_socket_that_was_left_behind_is_replaced_and_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "zeon.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with unix_socket(path) as listening:
        listening.listen()
    path.write_text("mine")
    with pytest.raises(BadInputError, match="is not a socket"), unix_socket(path):
        pass
    assert path.read_text() == "mine"
    with pytest.raises(BadInputError, match="cannot listen on"), unix_socket(tmp_path / ("x" * 200)):
        pass
