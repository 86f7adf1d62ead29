"""The report of an import, and of an inspection: the same for the command line, HTTP and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.candles.rows.row import RowIssue
from app.domain.market.candle import Gap


class Note(NamedTuple):
    """One thing that was assumed or found out about a file: what it is about, and a sentence for people.

    `topic` is one of `encoding`, `instrument`, `columns`, `volume`, `prices`, `numbers`, `timeZone`, `stamp`,
    `dates`, `grid`, `files` and `rows`.
    """

    topic: str
    text: str


class Report(NamedTuple):
    """What an import did; `rows` is new + changed + same + duplicates + refused, times are open times in ms.

    `refusals` and `repairs` list at most 100 each, `gaps` at most 100 between first and last; `broke` says where a
    file could not be read on, None when it was read to its end. `empty` of the refused rows held no numbers at all.
    `rejected` says why nothing was stored (more than half of the rows were refused); None when the rest was stored.
    """

    venue: str
    symbol: str
    timeframe: str
    rows: int
    new: int
    changed: int
    same: int
    refused: int
    refusals: list[RowIssue]
    duplicates: int
    unordered: int
    repairs: list[RowIssue]
    broke: str | None
    first_ms: int
    last_ms: int
    gaps: list[Gap]
    missing: int
    empty: int = 0
    notes: Sequence[Note] = ()
    rejected: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the report as the API and `--json` print it."""
        return {
            "venue": self.venue,
            "symbol": self.symbol,
            "timeframe": self.timeframe,
            "rows": self.rows,
            "new": self.new,
            "changed": self.changed,
            "same": self.same,
            "duplicates": self.duplicates,
            "unordered": self.unordered,
            "refused": self.refused,
            "empty": self.empty,
            "refusals": findings_as_json(self.refusals),
            "repairs": findings_as_json(self.repairs),
            "broke": self.broke,
            "rejected": self.rejected,
            "notes": notes_as_json(self.notes),
            "firstMs": self.first_ms,
            "lastMs": self.last_ms,
            "gaps": [{"fromMs": gap.from_ms, "toMs": gap.to_ms, "missing": gap.missing} for gap in self.gaps],
            "missing": self.missing,
        }


class Line(NamedTuple):
    """One row as it would be stored: its line or row number, the open time in ms, and the numbers as text."""

    line_number: int
    open_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: str

    def as_json(self) -> dict[str, Any]:
        """Return the row as the API and `--json` print it."""
        return {
            "line": self.line_number,
            "openTimeMs": self.open_ms,
            "open": self.open,
            "high": self.high,
            "low": self.low,
            "close": self.close,
            "volume": self.volume,
        }


class Alternative(NamedTuple):
    """One of several ways to read a file: the options that choose it, and its first and last rows."""

    options: str
    first: list[Line]
    last: list[Line]

    def as_json(self) -> dict[str, Any]:
        """Return the reading as the API and `--json` print it."""
        return {
            "options": self.options,
            "first": [line.as_json() for line in self.first],
            "last": [line.as_json() for line in self.last],
        }


@dataclass
class Inspection:
    """What an import of a file would store; nothing is stored.

    `symbol` and `timeframe` are those asked for or found in the file, None where neither is known. `question` is the
    sentence with which an import would be refused, None where it would store something. `readings` show the first and
    last rows: one reading, or one for each way to read the file where it leaves a doubt. `command` imports the file.
    """

    file: str
    kind: str
    symbol: str | None
    timeframe: str | None
    instruments: list[str] = field(default_factory=list)
    rows: int = 0
    refused: int = 0
    empty: int = 0
    refusals: list[RowIssue] = field(default_factory=list)
    duplicates: int = 0
    unordered: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    gaps: list[Gap] = field(default_factory=list)
    missing: int = 0
    notes: list[Note] = field(default_factory=list)
    question: str | None = None
    readings: list[Alternative] = field(default_factory=list)
    command: str = ""

    @property
    def is_readable(self) -> bool:
        """Whether there is anything to import once the question, if any, is answered."""
        return bool(self.instruments) or any(reading.first for reading in self.readings)

    def as_json(self) -> dict[str, Any]:
        """Return the inspection as the API and `--json` print it."""
        return {
            "file": self.file,
            "kind": self.kind,
            "symbol": self.symbol,
            "timeframe": self.timeframe,
            "instruments": self.instruments,
            "rows": self.rows,
            "refused": self.refused,
            "empty": self.empty,
            "refusals": findings_as_json(self.refusals),
            "duplicates": self.duplicates,
            "unordered": self.unordered,
            "firstMs": self.first_ms,
            "lastMs": self.last_ms,
            "gaps": [{"fromMs": gap.from_ms, "toMs": gap.to_ms, "missing": gap.missing} for gap in self.gaps],
            "missing": self.missing,
            "notes": notes_as_json(self.notes),
            "question": self.question,
            "readings": [reading.as_json() for reading in self.readings],
            "command": self.command,
        }


def findings_as_json(findings: Sequence[RowIssue]) -> list[dict[str, Any]]:
    """Return findings as the API and `--json` print them."""
    return [{"line": line_number, "reason": reason} for line_number, reason in findings]


def notes_as_json(notes: Sequence[Note]) -> list[dict[str, Any]]:
    """Return notes as the API and `--json` print them."""
    return [{"topic": topic, "text": text} for topic, text in notes]
