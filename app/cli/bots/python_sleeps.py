"""In a bot that `zeon run` has started: `time.sleep` and `asyncio.sleep` end by the clock of the bot.

That clock stands still until it is set. Each sleep tells its end to `zeon run` and waits for its answer.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import struct
import sys
import time
from typing import Any

_ADDRESS = os.environ.get("ZEON_SLEEPS", "")
_sleep, _async_sleep = time.sleep, asyncio.sleep


def _end(seconds: float) -> bytes:
    return struct.pack("<d", time.time() + seconds)


def sleep(seconds: float) -> None:
    """Sleep by the clock of the bot; by the real one if `zeon run` has ended."""
    if seconds <= 0:
        _sleep(seconds)
        return
    try:
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(_ADDRESS)
            waiting.sendall(_end(seconds))
            waiting.recv(1)
    except OSError:
        _sleep(seconds)


async def async_sleep(delay: float, result: Any = None) -> Any:
    """Sleep by the clock of the bot; by the real one if `zeon run` has ended."""
    if delay <= 0:
        return await _async_sleep(delay, result)
    try:
        reader, writer = await asyncio.open_unix_connection(_ADDRESS)
    except OSError:
        return await _async_sleep(delay, result)
    try:
        writer.write(_end(delay))
        await reader.read(1)
    finally:
        writer.close()
    return result


def _run_next() -> None:
    """Run the `sitecustomize` that this one hides, if there is one."""
    here = os.path.dirname(os.path.abspath(__file__))
    for folder in sys.path:
        path = os.path.join(folder, "sitecustomize.py")
        if os.path.abspath(folder or ".") != here and os.path.isfile(path):
            spec = importlib.util.spec_from_file_location("sitecustomize", path)
            if spec is not None and spec.loader is not None:
                spec.loader.exec_module(importlib.util.module_from_spec(spec))
            return


if _ADDRESS:
    setattr(time, "sleep", sleep)  # noqa: B010 - mypy knows another signature
    for module in (asyncio, asyncio.tasks):
        setattr(module, "sleep", async_sleep)  # noqa: B010
_run_next()
