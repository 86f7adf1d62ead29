"""Listen on a Unix socket: only programs of this machine that may open its file reach the server."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.errors import BadInputError

_MODE = 0o660
"""The owner and the group of the server may connect: a proxy is put into the group."""


@contextmanager
def unix_socket(path: Path) -> Iterator[socket.socket]:
    """Bind a Unix socket, and remove its file at the end; raises `BadInputError` if that is not possible.

    A file that a killed server left behind is replaced.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        try:
            _remove_left_behind(path)
            former = os.umask(0o777 & ~_MODE)
            try:
                listening.bind(str(path))
            finally:
                os.umask(former)
        except OSError as error:
            raise BadInputError(f"ZEON_SOCKET: cannot listen on {path}: {error.strerror or error}.") from error
        try:
            yield listening
        finally:
            with suppress(FileNotFoundError):
                path.unlink()


def _remove_left_behind(path: Path) -> None:
    """Remove a socket on which nobody listens; raises `BadInputError` for one in use and for any other file."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise BadInputError(f"ZEON_SOCKET: {path} is there and is not a socket.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise BadInputError(f"ZEON_SOCKET: another program listens on {path}.")
