"""What `zeon run` prints: the bot's lines, each with the session's time before it, and the progress."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli import output
from app.cli.options import open_text
from app.domain.session import Session


class BotOutput:
    """Takes the lines of a bot and the states of its session."""

    def __init__(self, session: Session, progress: Progress, log: TextIO | None, requests: TextIO | None) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None)
        self._log = log
        self._requests = requests
        self.show(session)

    def show(self, session: Session) -> None:
        """Show how far a session is."""
        spec, cursor_ms = session.spec, session.cursor_ms
        first_ms, last_ms, slot_ms = spec.first_slot_ms, spec.last_slot_ms, spec.grid.ms
        self._time = output.utc(spec.start_ms if cursor_ms is None else cursor_ms + slot_ms)
        done = 0 if cursor_ms is None else (cursor_ms - first_ms) // slot_ms + 1
        total = None if last_ms is None else (last_ms - first_ms) // slot_ms + 1
        self._progress.update(self._task, description=self._time, completed=done, total=total)

    def line(self, text: str) -> None:
        """Write a line of the bot."""
        text = f"{self._time} | {text}"
        if self._log is None:
            output.line(text)
        else:
            print(text, file=self._log, flush=True)

    def request(self, text: str) -> None:
        """Write a request of the bot, if a file was named for them."""
        if self._requests is not None:
            print(f"{self._time} {text}", file=self._requests, flush=True)


@contextmanager
def bot_output(session: Session, log: Path | None, requests: Path | None) -> Iterator[BotOutput]:
    """Yield the output of a bot; it closes its files at the end."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        open_text(log) as log_file,
        open_text(requests) as request_file,
        Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress,
    ):
        yield BotOutput(session, progress, log_file, request_file)
