"""Two servers behind a real nginx or HAProxy: streams pass at once, and a client outlives the server that it uses."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.support.client import Client, call, follow, run_unpaced
from tests.support.postgres import Database, open_pool
from tests.support.running_engine import MINUTE, START_MS, store
from tests.support.server_process import QUICK, StartServer, free_port, until
from tests.support.session_log import read_log, row

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
CANDLES = 300

NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream zeon {{ {servers} keepalive 16; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://zeon;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_buffering off;
      proxy_read_timeout 60s;
      gzip off;
    }}
    location /zeon/ {{ proxy_pass http://zeon/; proxy_set_header Host $http_host; proxy_buffering off; }}
  }}
}}
"""
HAPROXY = """
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  option httpchk GET /readyz
  {servers}
"""


@contextmanager
def proxy(kind: str, folder: Path, ports: list[int]) -> Iterator[str]:
    """Run a proxy in front of servers; yields its address. Skips the test where it is not installed."""
    program = shutil.which(kind, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip(f"{kind} is not installed")
    port, file = free_port(), folder / f"{kind}.conf"
    if kind == "nginx":
        servers = " ".join(f"server 127.0.0.1:{port};" for port in ports)
        file.write_text(NGINX.format(folder=folder, port=port, servers=servers))
        command = [program, "-c", str(file), "-p", str(folder)]
    else:
        lines = [f"server s{port} 127.0.0.1:{port} check inter 200ms" for port in ports]
        file.write_text(HAPROXY.format(port=port, servers="\n  ".join(lines)))
        command = [program, "-f", str(file), "-db"]
    process = subprocess.Popen(command)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
async def test_a_client_behind_a_proxy_outlives_the_server_that_runs_its_session(
    database: Database, start_server: StartServer, tmp_path: Path, kind: str
) -> None:
    async with open_pool(database) as side:
        await store(side, count=CANDLES)
    options = {**QUICK, "ZEON_RUNNER_TTL_MS": 2000, "ZEON_ON_ORPHAN": "resume"}
    servers = [start_server(database, **options, ZEON_RUNNER=name) for name in ("a", "b")]
    with proxy(kind, tmp_path, [server.port for server in servers]) as url:
        async with httpx2.AsyncClient(base_url=url, timeout=30) as http:
            client = Client(http)
            await answering(client)
            body = {"endMs": START_MS + CANDLES * MINUTE, "replayMsPerCandle": 20}
            session_id = (await client.create(**body))["id"]
            following = asyncio.create_task(follow(client, session_id))
            async with client.stream(session_id) as stream:
                await call(client, session_id, "start")
                begun = time.monotonic()
                await stream.until(lambda message: message.get("seq") == 10)
                assert time.monotonic() - begun < CANDLES * 0.02 / 2, "The proxy holds events back."
            runner = row(database, session_id, "runner")
            servers["ab".index(runner)].kill()
            await until(lambda: row(database, session_id, "runner") not in (runner, None))
            await answering(client)
            await run_unpaced(client, session_id)
            seen = [event["seq"] for event in await following]
    assert seen == [event["seq"] for event in read_log(database, session_id)]
    assert row(database, session_id, "status") == "finished"


async def answering(client: Client) -> None:
    """Wait until the proxy has found a server that is ready."""
    deadline = time.monotonic() + 20
    while True:
        try:
            if (await client.call("GET", "/readyz")).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        assert time.monotonic() < deadline, "The proxy does not answer."
        await asyncio.sleep(0.05)


async def test_a_server_below_a_path_is_followed_through_nginx(
    database: Database, start_server: StartServer, tmp_path: Path
) -> None:
    async with open_pool(database) as side:
        await store(side, count=CANDLES)
    server = start_server(database, **QUICK, ZEON_ROOT_PATH="/zeon")
    with proxy("nginx", tmp_path, [server.port]) as url:
        async with httpx2.AsyncClient(base_url=f"{url}/zeon", timeout=30) as http:
            client = Client(http)
            await answering(client)
            session = await client.create(endMs=START_MS + CANDLES * MINUTE, replayMsPerCandle=0)
            following = asyncio.create_task(follow(client, session["id"]))
            await call(client, session["id"], "start")
            assert [event["seq"] for event in await following] == list(
                range(1, len(read_log(database, session["id"])) + 1)
            )
            async with httpx2.AsyncClient(timeout=30) as plain:
                assert (await plain.get(f"{url}{session['streamUrl']}?fromSeq=1")).status_code == 200
