"""The command line under test: real processes, on a test's database or in a folder of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.harness.forked_command import ForkedCommand, can_fork
from tests.paths import ROOT
from tests.support.postgres import Database


class Cli:
    """`zeon` with one environment."""

    def __init__(self, database: Database | None = None, *, folder: Path | None = None, **env: object) -> None:
        addresses = {"DATABASE_URL": database.url, "ZEON_MIGRATE_URL": database.owner_url} if database else {}
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("ZEON_", "DATABASE_URL"))
        }
        self.folder = folder or ROOT
        self.env = {
            **inherited,
            **addresses,
            "PYTHONPATH": str(ROOT),
            **{name: str(value) for name, value in env.items()},
        }
        self._sets_up_postgres = not self.env.get("DATABASE_URL")

    def __call__(self, *arguments: object, code: int = 0) -> str:
        """Run a command to its end and return its output; another exit code than `code` fails the test."""
        return self.run(*arguments, code=code).stdout

    def json(self, *arguments: object) -> Any:
        """Run a command with --json and return what it printed."""
        return json.loads(self(*arguments, "--json"))

    def error(self, *arguments: object, code: int = 1) -> str:
        """Run a command that fails and return its error, which is never a traceback."""
        done = self.run(*arguments, code=code)
        assert "Traceback" not in done.stderr
        return done.stderr.strip()

    def run(self, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = (
            self._start_anew(arguments) if self._sets_up_postgres or not can_fork(self.env) else self._fork(arguments)
        )
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def _fork(self, arguments: tuple[object, ...]) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory(prefix="zeon-cli-") as scratch:
            out, err = Path(scratch, "out"), Path(scratch, "err")
            code = ForkedCommand(arguments, env=self.env, folder=self.folder, stdout=out, stderr=err).wait(120)
            return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())

    def _start_anew(self, arguments: tuple[object, ...]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            _command(arguments), env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=120
        )

    @contextmanager
    def start(self, *arguments: object, stderr: int | None = None) -> Iterator[subprocess.Popen[str]]:
        """Start a command whose output is read while it runs; where the block fails, it is killed with its children."""
        with subprocess.Popen(
            _command(arguments),
            env={**self.env, "PYTHONUNBUFFERED": "1"},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise


def _command(arguments: tuple[object, ...]) -> list[str]:
    return [sys.executable, "-m", "app.cli.main", *map(str, arguments)]
