"""Whether a bot sleeps: the state of every thread of its processes, from /proc."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_ASLEEP = b"SIZX"
"""Sleeping, idle, or ended. A thread that waits for a processor is R, one that waits for a disk is D."""


def is_asleep(pid: int) -> bool:
    """Whether all threads of a process and of its descendants sleep; true also if they have ended."""
    return all(_sleeps(task) for process in _tree(pid) for task in _tasks(process))


def _tree(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for process in found:
        for task in _tasks(process):
            with suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


def _tasks(pid: int) -> list[Path]:
    with suppress(OSError):
        return list((_PROC / str(pid) / "task").iterdir())
    return []


def _sleeps(task: Path) -> bool:
    try:
        stat = (task / "stat").read_bytes()
    except OSError:
        return True
    return stat.rpartition(b")")[2].split()[0] in _ASLEEP
