"""Start a strategy process: its command, its environment without secrets, and the sandbox if one is set."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import psutil

from app.errors import BadInputError
from app.settings import Settings
from app.strategy_hosts.confinement import ProcessLimits, hide_memory

_PROGRAM: Final = (
    "import json, sys; config = json.loads(sys.argv[1]); sys.path[:] = config['path']; "
    "from app.strategy_hosts.guard import main; main(config)"
)
_VARIABLES: Final = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TZDIR", "TMPDIR", "TEMP", "TMP"),
    *("VIRTUAL_ENV", "LD_LIBRARY_PATH", "SSL_CERT_FILE"),
)
_VARIABLE_PREFIXES: Final = ("LC_", "PYTHON", "OMP_", "OPENBLAS_", "MKL_", "BLIS_", "NUMEXPR_", "NUMBA_")
"""Variables that Python and numeric libraries read. Every other one needs `ZEON_STRATEGY_ENV`."""
_SYSTEM_FOLDERS: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt", "/nix")
_SYSTEM_FILES: Final = (
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "timezone"),
    *("passwd", "group", "nsswitch.conf", "mime.types"),
)
_PRIVATE_FOLDER: Final = "/dev/shm"  # noqa: S108 - of the sandbox alone
_SIGNAL_CODES: Final = 128
_CHECK_S: Final = 10


def require_sandbox(settings: Settings) -> None:
    """Raise `BadInputError` if the sandbox that the settings ask for cannot be used here."""
    if settings.sandbox == "none":
        return
    if shutil.which("bwrap") is None:
        raise BadInputError("ZEON_SANDBOX: bwrap is not installed; install bubblewrap, or set ZEON_SANDBOX=none.")
    command = [*_sandbox(settings), "true"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_CHECK_S, check=False)
    except subprocess.TimeoutExpired:
        raise BadInputError(f"ZEON_SANDBOX: bwrap did not start within {_CHECK_S} s.") from None
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise BadInputError(f"ZEON_SANDBOX: bwrap does not work on this system: {reason[0]}")


async def start_process(settings: Settings) -> asyncio.subprocess.Process:
    """Start the guard of a strategy process, with pipes."""
    hide_memory()
    return await asyncio.create_subprocess_exec(
        *_command(settings),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(settings),
        start_new_session=True,
        limit=1 << 20,
    )


def strategy_pid(started_pid: int) -> int:
    """Return the pid of the strategy process below a started one: the last of sandbox, guard and strategy process."""
    descendants = psutil.Process(started_pid).children(recursive=True)
    return descendants[-1].pid if descendants else started_pid


def exit_code(settings: Settings, code: int) -> int:
    """Return an exit code as `subprocess` does, negative for a signal; bwrap adds 128 to the signal's number."""
    is_signal = settings.sandbox == "bwrap" and code > _SIGNAL_CODES
    return _SIGNAL_CODES - code if is_signal else code


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables of this process that strategies may see."""
    chosen = {
        name: value
        for name, value in os.environ.items()
        if name in _VARIABLES or name.startswith(_VARIABLE_PREFIXES) or name in settings.strategy_env
    }
    return chosen | ({"TMPDIR": _PRIVATE_FOLDER} if settings.sandbox == "bwrap" else {})


def _command(settings: Settings) -> list[str]:
    limits = ProcessLimits(
        memory_mb=settings.strategy_memory_mb,
        processes=settings.strategy_processes,
        file_mb=settings.strategy_file_mb,
        output_kb=settings.strategy_output_kb,
    )
    config = {"path": sys.path, "candle_ms": settings.candle_timeout_ms, "limits": limits._asdict()}
    sandbox = _sandbox(settings) if settings.sandbox == "bwrap" else []
    return [*sandbox, sys.executable, "-c", _PROGRAM, json.dumps(config)]


def _sandbox(settings: Settings) -> list[str]:
    """Return the command of bubblewrap: no network, no other processes, and only these folders, read-only."""
    size, visible, folder = str(settings.strategy_file_mb << 20), _visible(settings), str(Path.cwd())
    command = ["bwrap", "--die-with-parent", "--unshare-net", "--unshare-pid", "--unshare-ipc", "--cap-drop", "ALL"]
    for path in visible:
        command += ["--ro-bind-try", path, path]
    if settings.data_dir.is_dir():  # It has the socket of the embedded Postgres.
        command += ["--tmpfs", str(settings.data_dir.absolute())]
    command += ["--proc", "/proc", "--dev", "/dev", "--size", size, "--tmpfs", _PRIVATE_FOLDER]
    return [*command, "--chdir", folder if folder in visible else "/", "--"]


def _visible(settings: Settings) -> list[str]:
    """Return what a strategy in the sandbox can read: the system, Python, the modules and the strategies."""
    modules = [path or "." for path in sys.path]
    strategies = [path for path in settings.strategies if Path(path).exists()]
    python = [sys.prefix, sys.base_prefix, *modules]
    paths = [str(Path(path).absolute()) for path in (*python, *strategies, *settings.sandbox_paths)]
    system = [*_SYSTEM_FOLDERS, *(f"/etc/{name}" for name in _SYSTEM_FILES)]
    return list(dict.fromkeys([*system, *sorted(filter(_is_real, paths))]))


def _is_real(path: str) -> bool:
    return path != "/" and Path(path).exists()
