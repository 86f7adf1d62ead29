"""What a strategy process can reach, how much it may take, and that everything it has started ends with it."""

from __future__ import annotations

import json
import logging
import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from app.errors import BadInputError, StrategyFailedError, StrategyProcessLostError
from app.settings import Settings, load
from app.strategy_hosts import confinement, launch
from app.strategy_hosts.process_pool import ProcessHandle, ProcessPool
from tests.support.postgres import Database
from tests.support.server_process import StartServer, as_user
from tests.support.strategies import HEAD

ALLOWED_S = 20
OWN_S = str(1_000_000 + os.getpid())
"""Argument that only the processes of this test run have, to tell them from those of other runs."""

REPORT = """
import glob, json, os, resource

def readable(path):
    try:
        with open(path, "rb") as file:
            return bool(file.read(1))
    except OSError as error:
        return False

guard = os.getppid()
limits = {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name))[1] for name in ("DATA", "FSIZE", "NOFILE")}
report = {
    "files": {number: os.readlink(f"/proc/self/fd/{number}").split(":")[0] for number in range(3, 20)
              if os.path.exists(f"/proc/self/fd/{number}") or os.path.islink(f"/proc/self/fd/{number}")},
    "env": sorted(os.environ),
    "readable": [path for path in (f"/proc/SERVER/environ", f"/proc/{guard}/environ") if readable(path)],
    "limits": limits,
}
"""


@asynccontextmanager
async def strategy_process(**settings: Any) -> AsyncIterator[ProcessHandle]:
    pool = ProcessPool(Settings(**settings))
    try:
        yield await pool.acquire({})
    finally:
        await pool.close()


async def report_of(process: ProcessHandle, folder: Path, code: str) -> Any:
    """Import code in the strategy process and return its variable `report`."""
    path = folder / "code.py"
    path.write_text(f"{code}\nraise RuntimeError(json.dumps(report))\n")
    request = {"call": "describe", "code": ["folder", str(path), "code", None, str(path), None]}
    header, _ = await process.send(request, ALLOWED_S)
    assert str(header["failed"]).startswith("RuntimeError: "), header
    return json.loads(header["failed"].removeprefix("RuntimeError: "))


async def test_a_strategy_process_has_no_secrets_no_files_of_the_server_and_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {"DATABASE_URL": "postgresql://", "PGPASSWORD": "x", "ZEON_JWT_JWKS": "x", "GITHUB_TOKEN": "x"}
    for name, value in {**secrets, "AWS_SECRET_ACCESS_KEY": "x", "MODEL": "x", "LC_ALL": "C"}.items():
        monkeypatch.setenv(name, value)
    inherited = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(inherited, True)
    settings = {"strategy_memory_mb": 200, "strategy_file_mb": 2, "strategy_env": ("MODEL",)}
    try:
        async with strategy_process(**settings) as process:
            report = await report_of(process, tmp_path, REPORT.replace("SERVER", str(os.getpid())))
    finally:
        os.close(inherited)
    assert len(report["files"]) == 2  # Its requests and its answers.
    assert not any("null" in path for path in report["files"].values())
    assert {"MODEL", "LC_ALL", "PATH"} <= set(report["env"])
    assert not {*secrets, "AWS_SECRET_ACCESS_KEY"} & set(report["env"])
    assert report["readable"] == []
    assert report["limits"] == {"DATA": 1600 << 20, "FSIZE": 2 << 20, "NOFILE": 1024}


def test_settings_of_the_server_are_never_given_to_strategies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEON_STRATEGY_ENV", "MODEL,DATABASE_URL")
    with pytest.raises(BadInputError, match="ZEON_STRATEGY_ENV: DATABASE_URL is a setting of the server"):
        load()


LIMITS = {
    "bytearray(2 << 30)": "MemoryError",
    "open('big', 'wb').write(bytes(3 << 20))": "File too large",
}


@pytest.mark.parametrize("action", LIMITS)
async def test_a_limit_of_the_system_is_an_error_of_the_strategy(
    tmp_path: Path, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with strategy_process(strategy_memory_mb=150, strategy_file_mb=2) as process:
        code = f"import json\ntry:\n    {action}\nexcept Exception as error:\n    report = repr(error)"
        assert LIMITS[action] in await report_of(process, tmp_path, code)


async def test_a_strategy_that_starts_too_many_processes_is_killed_with_them(tmp_path: Path) -> None:
    code = f"import subprocess, time\nfor _ in range(4): subprocess.Popen(['sleep', '{OWN_S}'])\ntime.sleep(60)"
    async with strategy_process(strategy_processes=3, candle_timeout_ms=60_000) as process:
        with pytest.raises(StrategyFailedError, match="The strategy started more than 3 processes"):
            await report_of(process, tmp_path, code)
    assert not sleeping()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_the_system_limits_the_processes_of_a_user_who_is_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "_USER_TASKS", 0)

    def start_too_many() -> None:
        confinement.limit_tasks(
            os.getpid(), confinement.ProcessLimits(memory_mb=1, processes=3, file_mb=1, output_kb=1)
        )
        try:
            with pytest.raises(BlockingIOError):
                _ = [subprocess.Popen(["sleep", OWN_S]) for _ in range(10)]
            assert 1 <= len(sleeping()) <= 3
        finally:
            for pid in sleeping():
                os.kill(pid, signal.SIGKILL)

    as_user(pwd.getpwnam("nobody"), start_too_many)


LEAVES = f"""
import json, subprocess
subprocess.Popen(["sh", "-c", "sleep {OWN_S} & sleep {OWN_S} & wait"], start_new_session=True)
subprocess.Popen(["sleep", "{OWN_S}"])
while subprocess.run(["pgrep", "-fc", "^sleep {OWN_S}"], capture_output=True, text=True).stdout.strip() != "3": pass
report = True
"""
"""Starts processes, also in sessions of their own and as orphans."""


def sleeping() -> list[int]:
    """Return the pids of the processes that `LEAVES` starts."""
    return [process.pid for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", OWN_S]]


@pytest.mark.parametrize("end", ["close", "kill", "exit"])
async def test_everything_a_strategy_has_started_ends_with_its_process(tmp_path: Path, end: str) -> None:
    async with strategy_process(candle_timeout_ms=60_000) as process:
        assert await report_of(process, tmp_path, LEAVES)
        assert len(sleeping()) == 3
        if end == "kill":
            os.kill(process.pid, signal.SIGKILL)
        elif end == "exit":
            with pytest.raises(StrategyFailedError, match="exit code 3"):
                await report_of(process, tmp_path, "import os\nos._exit(3)")
        if end != "close":
            await process._reading
            assert not sleeping()
    assert not sleeping()


def test_everything_ends_with_a_server_that_is_killed(
    database: Database, start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "leaves.py").write_text(f"{HEAD}\n{LEAVES}\nclass Leaves(Strategy): pass\n")
    server = start_server(database, ZEON_STRATEGIES=tmp_path, ZEON_CANDLE_TIMEOUT_MS=10_000)
    httpx2.get(f"{server.url}/api/sim/profiles", timeout=60)
    assert len(sleeping()) == 3, server.output
    os.kill(server.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while sleeping():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_what_a_strategy_prints_is_logged_up_to_a_limit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "app.strategy_output")
    code = "import json\nprint('a \\x1b[31m red \\0line')\nfor _ in range(200): print('x' * 100)\nreport = 1"
    async with strategy_process(strategy_output_kb=2) as process:
        assert await report_of(process, tmp_path, code) == 1
        assert await report_of(process, tmp_path, code) == 1
        pid = process.pid
    lines = [record.message for record in caplog.records if record.name == "app.strategy_output"]
    assert lines[0] == f"strategy process {pid}: a ?[31m red ?line"
    assert lines[-1] == f"strategy process {pid}: (more than 2 KB in a minute; the rest is left out)"
    assert 2048 <= sum(len(line.partition(": ")[2]) + 1 for line in lines) < 2200


def without_sandbox() -> str | None:
    try:
        launch.require_sandbox(Settings(sandbox="bwrap"))
    except BadInputError as error:
        return error.message
    return None


needs_bwrap = pytest.mark.skipif(without_sandbox() is not None, reason=str(without_sandbox()))

REACH = """
import json, os, socket, tempfile

def possible(action):
    try:
        action()
        return True
    except OSError:
        return False

report = {
    "network": possible(lambda: socket.create_connection(("127.0.0.1", PORT), 5)),
    "socket": possible(lambda: socket.socket(socket.AF_UNIX).connect("FOLDER/socket")),
    "write": possible(lambda: open(__file__ + "x", "w")),
    "temporary": possible(lambda: tempfile.TemporaryFile().write(b"x")),
    "secret": possible(lambda: open("FOLDER/secret")),
    "data": possible(lambda: open("FOLDER/more/data")),
    "processes": sum(name.isdecimal() for name in os.listdir("/proc")),
}
"""


@pytest.mark.parametrize("sandbox", ["none", pytest.param("bwrap", marks=needs_bwrap)])
async def test_a_sandbox_has_no_network_and_a_read_only_view_of_a_few_folders(tmp_path: Path, sandbox: str) -> None:
    folder, other = tmp_path / "strategies", tmp_path / "other"
    (other / "more").mkdir(parents=True)
    folder.mkdir()
    for path in (other / "secret", other / "more" / "data"):
        path.write_text("x")
    with socket.create_server(("127.0.0.1", 0)) as network, socket.socket(socket.AF_UNIX) as local:
        local.bind(str(other / "socket"))
        local.listen()
        settings = {"sandbox": sandbox, "strategies": (str(folder),), "sandbox_paths": (str(other / "more"),)}
        code = REACH.replace("PORT", str(network.getsockname()[1])).replace("FOLDER", str(other))
        async with strategy_process(**settings) as process:
            report = await report_of(process, folder, code)
    caged = sandbox == "bwrap"
    assert (report.pop("processes") <= 4) == caged
    outside = dict.fromkeys(("network", "socket", "write", "secret"), not caged)
    assert report == {**outside, "temporary": True, "data": True}


@needs_bwrap
async def test_everything_in_a_sandbox_ends_with_its_process(tmp_path: Path) -> None:
    settings = {"sandbox": "bwrap", "strategies": (str(tmp_path),), "candle_timeout_ms": 60_000}
    async with strategy_process(**settings) as process:
        assert await report_of(process, tmp_path, LEAVES)
        assert len(sleeping()) == 3
        os.kill(process.pid, signal.SIGSTOP)
        answer = process.send({"call": "hello"}, ALLOWED_S)
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(StrategyProcessLostError) as lost:
            await answer
        assert lost.value.suspect == "signal 9"
        assert not sleeping()


def test_a_sandbox_that_is_not_there_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInputError, match="ZEON_SANDBOX: bwrap is not installed; install bubblewrap"):
        ProcessPool(Settings(sandbox="bwrap"))
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(BadInputError, match="bwrap does not work on this system: bwrap: No permissions"):
        ProcessPool(Settings(sandbox="bwrap"))
