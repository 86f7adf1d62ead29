"""Commands forked from a process that has imported all of them: imports are most of the time a command takes.

Each is a process of its own all the same, with its own arguments, environment, folder, session and files; only
what an interpreter reads as it starts is beyond it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

from tests.paths import ROOT


def can_fork(env: Mapping[str, str]) -> bool:
    """Whether an environment asks for no other interpreter than one that finds this checkout's modules first."""
    changed = {name for name, value in env.items() if name.startswith("PYTHON") and value != os.environ.get(name)}
    return env.get("PYTHONPATH", "").split(os.pathsep)[0] == str(ROOT) and changed <= {"PYTHONPATH"}


class ForkedCommand:
    """A command that was started, with what `subprocess.Popen` offers of a process whose output goes to files."""

    def __init__(
        self, arguments: Sequence[object], *, env: Mapping[str, str], folder: Path, stdout: Path, stderr: Path
    ) -> None:
        """Start `zeon` with arguments; what it prints is appended to the files, which may be the same."""
        context = get_context("forkserver")
        context.set_forkserver_preload(["tests.harness.preload"])
        self._arguments = list(map(str, arguments))
        self._process = context.Process(target=_run, args=(self._arguments, dict(env), folder, stdout, stderr))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Return the exit code, null while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """Wait for its end and return the exit code; raises `subprocess.TimeoutExpired`."""
        self._process.join(timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(self._arguments, timeout)
        return code


def _run(arguments: list[str], env: dict[str, str], folder: Path, stdout: Path, stderr: Path) -> None:
    os.setsid()
    for number, path in ((1, stdout), (2, stderr)):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.path[1:1] = env["PYTHONPATH"].split(os.pathsep)[1:]
    sys.argv = ["zeon", *arguments]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    import_module("app.cli.main").main()
