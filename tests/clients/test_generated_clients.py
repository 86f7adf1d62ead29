"""Clients that generators make of `/openapi.json`: they compile, and follow a session through a killed server."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
import venv
from pathlib import Path

import pytest

from tests.browser.site import Site
from tests.clients import npm
from tests.clients.following import CANDLES, Script, candles_only, kill_midway, last_seq, seqs, serve
from tests.paths import ROOT
from tests.support.postgres import Database
from tests.support.server_process import StartServer

pytestmark = pytest.mark.clients

GENERATOR = "openapi-python-client==0.29.1"
GENERATORS = Path(__file__).parent / "generators"
TYPESCRIPT = """{"compilerOptions": {"strict": true, "noUncheckedIndexedAccess": true, "target": "es2022",
 "module": "nodenext", "moduleResolution": "nodenext", "types": [], "lib": ["es2022", "dom"], "skipLibCheck": false}}"""
PYTHON_PROGRAM = """
import os, sys, time
import httpx
from sim import Client
from sim.api.log import list_events
from sim.api.sessions import start_session, get_session
from sim.models import CandleEvent, ListEventsTypesItem, StartRequest

client = Client(base_url=os.environ["URL"], raise_on_unexpected_status=True)
session_id = sys.argv[1]
assert start_session.sync(session_id, client=client, body=StartRequest()).data.status.value == "running"
seq = 1
while True:
    try:
        page = list_events.sync(session_id, client=client, from_seq=seq, limit=200).data
        status = get_session.sync(session_id, client=client).data.status.value
    except httpx.TransportError:
        time.sleep(0.05)
        continue
    for event in page.events:
        if isinstance(event, CandleEvent):
            assert event.payload.candle.close > 0
        print(event.seq, flush=True)
    if page.next_from_seq == seq and status == "finished":
        break
    seq = page.next_from_seq
some = list_events.sync(session_id, client=client, types=[ListEventsTypesItem.STATUS]).data.events
assert {event.type_ for event in some} == {"status"}
"""


@pytest.fixture
def site(database: Database, start_server: StartServer) -> Site:
    return serve(database, start_server)


def describe(site: Site, folder: Path) -> None:
    with urllib.request.urlopen(f"{site.url}/openapi.json") as answer:
        (folder / "openapi.json").write_bytes(answer.read())


def run_follower(site: Site, script: Script, command: list[str]) -> None:
    """Run a program that starts a session and prints its seqs, and kill the server meanwhile."""
    session_id = candles_only(site)
    with script.run(*command, session_id) as process:
        kill_midway(site, session_id)
        assert seqs(process) == list(range(1, last_seq(site, session_id) + 1))
    assert last_seq(site, session_id) > CANDLES


def test_a_typescript_client_compiles_and_follows_a_session_through_a_killed_server(site: Site, tmp_path: Path) -> None:
    modules = npm.modules(GENERATORS)
    describe(site, tmp_path)
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "tsconfig.json").write_text(TYPESCRIPT)
    (tmp_path / "follow.ts").write_text((Path(__file__).parent / "follow.ts").read_text())
    (tmp_path / "node.d.ts").write_text("declare const process: { env: Record<string, string>; argv: string[] };\n")
    generator = modules / "openapi-typescript" / "bin" / "cli.js"
    run(tmp_path, [npm.node(), str(generator), "openapi.json", "--output", "api.d.ts", "--default-non-nullable=false"])
    run(tmp_path, [npm.node(), str(modules / "typescript" / "bin" / "tsc"), "--project", "."])
    run_follower(site, Script(tmp_path, site.url), [npm.node(), "follow.js"])


def test_a_python_client_type_checks_and_follows_a_session_through_a_killed_server(site: Site, tmp_path: Path) -> None:
    describe(site, tmp_path)
    options = ["--path", "openapi.json", "--meta", "none", "--output-path", "sim", "--fail-on-warning"]
    run(tmp_path, [str(generator_program()), "generate", *options])
    (tmp_path / "follow.py").write_text(PYTHON_PROGRAM)
    check = ["-m", "mypy", "--follow-imports", "silent", "--cache-dir", str(ROOT / ".mypy_cache")]
    run(tmp_path, [sys.executable, *check, "sim/api", "sim/models"])
    run_follower(site, Script(tmp_path, site.url), [sys.executable, "follow.py"])


def generator_program() -> Path:
    """Return the generator, in an environment of its own: it needs older libraries than this project."""
    folder = GENERATORS / ".venv"
    program = folder / "bin" / "openapi-python-client"
    if not program.exists():
        venv.create(folder, with_pip=True)
        install = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", GENERATOR]
        done = subprocess.run(install, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"pip cannot install {GENERATOR}: {(done.stderr.strip().splitlines() or [''])[-1]}")
    return program


def run(folder: Path, command: list[str]) -> str:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}  # The generator calls ruff.
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
