"""The limits of a strategy process, set before it imports a strategy. They contain accidents; they are no sandbox."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from typing import Any, Final, NamedTuple

_PROCESS_MEMORIES: Final = 8
"""A process runs several sessions, so its own limit is this many times that of one strategy."""
_MAX_FILES: Final = 1024
_USER_TASKS: Final = 1024
"""The system counts processes and threads per user, not per process: so many more than now may exist."""
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 4, 24, 38
_CAPABILITIES: Final = 41
_FILE_CAPABILITIES: Final = 0b1111
"""Root's rights on files; its right to read and trace other processes is dropped."""
_CAPABILITY_VERSION: Final = 0x20080522
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_VERSION = 1
_LANDLOCK_PATH_BENEATH = 1
_LANDLOCK_REFER = 1 << 13
_LANDLOCK_NO_ABSTRACT_SOCKETS, _LANDLOCK_NO_SIGNALS = 1, 2


class ProcessLimits(NamedTuple):
    """The limits of a strategy process, from the settings; memory and files in megabytes, output in KB a minute."""

    memory_mb: int
    processes: int
    file_mb: int
    output_kb: int


def confine(limits: ProcessLimits) -> None:
    """Limit this process and all that it starts; what the system does not offer is left out."""
    _limit(resource.RLIMIT_DATA, _PROCESS_MEMORIES * limits.memory_mb << 20)
    _limit(resource.RLIMIT_FSIZE, limits.file_mb << 20)
    _limit(resource.RLIMIT_NOFILE, _MAX_FILES)
    forbid_core_dumps()
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if sys.platform == "linux":
        _drop_capabilities()
        _hide_other_processes()


def limit_tasks(pid: int, limits: ProcessLimits) -> None:
    """Limit how many processes and threads the user of a process may have while it starts more; root has no limit."""
    if sys.platform == "linux":
        most = _user_tasks() + limits.processes + _USER_TASKS
        _, hard = resource.prlimit(pid, resource.RLIMIT_NPROC)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.prlimit(pid, resource.RLIMIT_NPROC, (most, most))


def hide_memory() -> None:
    """Keep other processes of this user from reading this process's environment and memory."""
    prctl(_PR_SET_DUMPABLE, 0)


def forbid_core_dumps() -> None:
    """Let this process end without a copy of its memory on the disk."""
    _limit(resource.RLIMIT_CORE, 0)


def prctl(option: int, value: int) -> None:
    """Set an option of this process, on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _limit(name: int, most: int) -> None:
    _, hard = resource.getrlimit(name)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(name, (most, most))


def _user_tasks() -> int:
    """Count the processes and threads of this user."""
    count, user = 0, os.getuid()
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            try:
                count += entry.stat().st_uid == user and len(os.listdir(f"/proc/{entry.name}/task"))
            except OSError:  # It has ended.
                continue
    return count


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def _drop_capabilities() -> None:
    """Keep only the rights on files; without effect for a user that is not root."""
    for number in range(_CAPABILITIES):
        if not _FILE_CAPABILITIES >> number & 1:
            prctl(_PR_CAPBSET_DROP, number)
    header, sets = _CapabilityHeader(_CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None).capget(ctypes.byref(header), sets) == 0:
        for index, kept in enumerate((_FILE_CAPABILITIES,) * 3 + (0,) * 3):
            sets[index] &= kept
        ctypes.CDLL(None).capset(ctypes.byref(header), sets)


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def _hide_other_processes() -> None:
    """Enter a Landlock domain: from it no process outside can be read in `/proc`, traced or, since Linux 6.12, killed.

    A domain needs one right that it handles; it is the right to move files between folders, allowed everywhere.
    """
    version = _syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)
    if version < 2:
        return
    scoped = _LANDLOCK_NO_ABSTRACT_SOCKETS | _LANDLOCK_NO_SIGNALS if version >= 6 else 0
    ruleset = _Ruleset(_LANDLOCK_REFER, 0, scoped)
    rules = _syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(ruleset), 24 if scoped else 8, 0)
    if rules < 0:
        return
    root = os.open("/", os.O_PATH)
    try:
        rule = _PathRule(_LANDLOCK_REFER, root)
        if _syscall(_LANDLOCK_ADD_RULE, rules, _LANDLOCK_PATH_BENEATH, ctypes.byref(rule), 0) == 0:
            _syscall(_LANDLOCK_RESTRICT_SELF, rules, 0)
    finally:
        os.close(root)
        os.close(rules)


def _syscall(number: int, *arguments: Any) -> int:
    """Make a system call; -1 when it fails."""
    values = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return int(ctypes.CDLL(None).syscall(ctypes.c_long(number), *values))
