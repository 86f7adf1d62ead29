"""Requests and answers of the import of a file over HTTP."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, RootModel, model_validator

from app.candles.rows.read_options import ReadOptions, read_options
from app.domain.market.symbol import SYMBOL_FORM, display_form
from app.domain.session import TimeframeName, Venue
from app.domain.setting import checked
from app.errors import BadInputError
from app.web.http.models import Answer, Flag, Query

Spelling = Annotated[str, checked(display_form, SYMBOL_FORM), Field(json_schema_extra={"pattern": SYMBOL_FORM})]
Text = Annotated[str, Field(max_length=200)]


class ImportQuery(Query):
    """What the file in the body contains, and how to read it; the rest is detected from the file.

    `symbol` and `timeframe` are optional only with `dryRun`. `file` is the name of the file.
    """

    symbol: Spelling | None = None
    timeframe: TimeframeName | None = None
    venue: Venue | None = None
    dry_run: Flag = False
    file: Text = "upload"
    time_zone: Text | None = None
    stamp: Literal["open", "close"] | None = None
    dates: Literal["dmy", "mdy", "ymd"] | None = None
    columns: Text | None = None
    only: Text | None = None
    decimal: Literal["point", "comma", ".", ","] | None = None
    keep_going: Flag = False

    @model_validator(mode="after")
    def _says_enough(self) -> Self:
        for name in ("symbol", "timeframe"):
            if getattr(self, name) is None and not self.dry_run:
                raise ValueError(f"{name}: is required, unless with dryRun=true")
        try:
            self.options()
        except BadInputError as error:
            raise ValueError(error.message) from None
        return self

    def options(self) -> ReadOptions:
        """Return how to read the file; raises `BadInputError`."""
        return read_options(self.time_zone, self.stamp, self.dates, self.columns, self.only, self.decimal)


class FindingAnswer(Answer):
    """A finding about one row."""

    line: int
    reason: str


class NoteAnswer(Answer):
    """One assumption or detected property of a file."""

    topic: str
    text: str


class MissingAnswer(Answer):
    """Slots `[fromMs, toMs)` without a candle."""

    from_ms: int
    to_ms: int
    missing: int


class ImportReport(Answer):
    """The result of an import, as in `zeon candles import --json`; at most 100 refusals, repairs and gaps."""

    venue: str
    symbol: str
    timeframe: str
    rows: int
    new: int
    changed: int
    same: int
    duplicates: int
    unordered: int
    refused: int
    empty: int
    refusals: list[FindingAnswer]
    repairs: list[FindingAnswer]
    broke: str | None
    rejected: str | None
    notes: list[NoteAnswer]
    first_ms: int
    last_ms: int
    gaps: list[MissingAnswer]
    missing: int


class LineAnswer(Answer):
    """One row as it would be stored, its numbers as text."""

    line: int
    open_time_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: str


class ReadingAnswer(Answer):
    """One way to read a file, with the option that selects it: its first and last rows."""

    options: str
    first: list[LineAnswer]
    last: list[LineAnswer]


class ImportInspection(Answer):
    """What an import would store, as in `zeon candles inspect --json`; `question` is set if it needs an option."""

    venue: str
    file: str
    kind: str
    symbol: str | None
    timeframe: str | None
    instruments: list[str]
    rows: int
    refused: int
    empty: int
    refusals: list[FindingAnswer]
    duplicates: int
    unordered: int
    first_ms: int | None
    last_ms: int | None
    gaps: list[MissingAnswer]
    missing: int
    notes: list[NoteAnswer]
    question: str | None
    readings: list[ReadingAnswer]
    command: str


class ImportAnswer(RootModel[ImportReport | ImportInspection]):
    """The report of an import, or with `dryRun` what it would store."""
