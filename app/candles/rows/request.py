"""What to read from a file, and what was learned about the file while reading."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from app.candles.rows.read_options import UNSAID, ReadOptions
from app.candles.rows.report import Note
from app.domain.market.timeframe import Timeframe

MOST_NOTES = 50
"""Notes kept; a folder of files that differ may give rise to many."""


class UnprovenDatesError(Exception):
    """The first rows of a file do not prove whether the day or the month comes first."""


@dataclass
class ReadRequest:
    """Candles of one symbol and timeframe to be read from files; None where they are not known.

    `notes` say what was assumed, `instruments` which were found, `kind` what kind of file it is. `look_further` lets
    a reader raise `UnprovenDatesError` instead of asking, so that the rest of the file can be searched for a proof.
    Of `several` files, or members of an archive, one with mostly bad rows is left out, unless with `keep_going`.
    """

    symbol: str | None = None
    timeframe: Timeframe | None = None
    options: ReadOptions = UNSAID
    now_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    notes: list[Note] = field(default_factory=list)
    instruments: list[str] = field(default_factory=list)
    kind: str = ""
    look_further: bool = False
    several: bool = False
    keep_going: bool = False
    step: str | None = None

    def note(self, topic: str, text: str) -> None:
        """Add a note unless it is there."""
        if Note(topic, text) not in self.notes and len(self.notes) < MOST_NOTES:
            self.notes.append(Note(topic, text))

    def add_instrument(self, instrument: str) -> None:
        """Add the name of an instrument."""
        if instrument not in self.instruments:
            self.instruments.append(instrument)
