"""Files of an export: written completely or not at all, and replacing others only if asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.errors import BadInputError


def require_absent(path: Path, *, overwrite: bool) -> None:
    """Raise `BadInputError` if a file exists that would be overwritten."""
    if path.exists() and not overwrite:
        raise BadInputError(f"output: {path} is there already; name another folder, or add --overwrite")


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give the name to write to; the file takes its place when it is whole. Makes missing folders.

    Raises `BadInputError` where nothing can be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, path)
    except OSError as error:
        raise BadInputError(f"output: {path} cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
