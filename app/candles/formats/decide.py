"""Deciding from the first rows of a file how all of it is read, and asking where they leave a doubt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC
from itertools import chain, islice, pairwise

from app.candles.rows import times
from app.candles.rows.numbers import decimal_separator
from app.candles.rows.quality import find_flaw
from app.candles.rows.read_options import DateOrder
from app.candles.rows.reading import DAY_MS, Reading
from app.candles.rows.request import ReadRequest, UnprovenDatesError
from app.candles.rows.row import Block, BrokenFileError, Item, Layout, Row, RowError, RowIssue, Value
from app.candles.rows.steps import check_steps, timeframe_of
from app.candles.rows.times import NotATimeError, UnknownOrderError, Wall
from app.candles.rows.zones import find_zone
from app.domain.market.timeframe import Timeframe
from app.errors import BadInputError

LOOKED_AT = 1_000
"""So many of the first rows decide how all are read."""

_HOUR_MS = 3_600_000
_WEEKS_MS = 27 * DAY_MS
DATE_ORDERS: dict[DateOrder, str] = {"dmy": "day first", "mdy": "month first", "ymd": "year first"}
_COMPACT = {8, 10, 12, 14, 17}


def read_settled(items: Iterator[Item | Layout], request: ReadRequest) -> Iterator[Item | Reading]:
    """Yield how the rows of one text are read, then the rows; raises `BadInputError` where the user has to be asked."""
    head = _Head(items)
    rows = [row for row in islice(head.rows(), LOOKED_AT) if not isinstance(row, RowIssue)]
    if rows:
        reading = _reading(rows, head.layout, request)
        _check(rows, replace(reading), request)
        if request.several and not request.keep_going:
            _check_flaws(rows, replace(reading))
        yield reading
        for piece in chain(head.items, () if head.broken else items):
            if not isinstance(piece, Layout):
                yield from reading.convert(piece)
    else:
        yield from head.items
    if head.broken is not None:
        raise head.broken


class _Head:
    """The first items of a text: its layout, and what follows up to `LOOKED_AT` rows or a block."""

    def __init__(self, items: Iterator[Item | Layout]) -> None:
        self.layout = Layout()
        self.items: list[Item] = []
        self.broken: BrokenFileError | None = None
        try:
            self._fill(items)
        except BrokenFileError as broken:
            self.broken = broken

    def _fill(self, items: Iterator[Item | Layout]) -> None:
        count = 0
        for item in items:
            if isinstance(item, Layout):
                self.layout = item
            else:
                self.items.append(item)
                count += len(item.times) if isinstance(item, Block) else 1
            if count >= LOOKED_AT:
                return

    def rows(self) -> Iterator[Row | RowIssue]:
        for item in self.items:
            if isinstance(item, Block):
                yield from item.rows()
            else:
                yield item


def _reading(rows: Sequence[Row], layout: Layout, request: ReadRequest) -> Reading:
    options = request.options
    zone = options.time_zone or layout.zone
    texts = [text for row in rows if (text := str(row[1]).strip())]
    reading = Reading(
        grid=request.timeframe,
        zone=None if zone is None else find_zone(zone),
        stamp=options.stamp or layout.stamp or "open",
        decimals=layout.decimals,
        compact=_is_compact(texts, request.now_ms),
    )
    if options.stamp is None and layout.stamp is None:
        request.note("stamp", "each time was read as the open of its candle; --stamp close reads it as the close")
    reading.small_ms = _is_small_ms(texts, request.timeframe)
    _decide_times(reading, texts, layout, request)
    _decide_numbers(reading, rows, request)
    reading.epoch = reading.stamp == "open" and not reading.compact and all(map(_is_epoch, texts))
    reading.epoch = reading.epoch and (reading.zone is None or not reading.is_dated)
    if request.timeframe is not None and request.timeframe.name == "1w" and _has_holidays(rows, replace(reading)):
        request.note("grid", "weeks that open after a holiday were stored under their Monday")
        reading.whole_weeks, reading.epoch = True, False
    reading.plain = reading.decimal != "," and not reading.decimals
    return reading


def _has_holidays(rows: Sequence[Row], reading: Reading) -> bool:
    """Whether most weeks open on a Monday, and some on another working day."""
    grid = reading.grid
    opens = [open_ms for row in rows if (open_ms := _open_ms(row[1], reading)) is not None]
    if grid is None or not opens:
        return False
    days = [(open_ms - grid.floor(open_ms)) // DAY_MS for open_ms in opens]
    return days.count(0) * 2 > len(days) and 0 < max(days) < 5


def _is_epoch(text: str) -> bool:
    return not (len(text) == 14 and times.compact(text)) and times.epoch_ms(text) is not None


def _is_compact(texts: Sequence[str], now_ms: int) -> bool:
    """Whether times are digits such as 202403041000, and not numbers since the epoch."""
    if not texts or any(len(text) not in _COMPACT or not text.isdecimal() or not text.isascii() for text in texts):
        return False
    if any(times.compact(text) is None for text in texts):
        return False
    return len(texts[0]) != 10 or any(int(text) * 1_000 > now_ms for text in texts)


def _is_small_ms(texts: Sequence[str], timeframe: Timeframe | None) -> bool:
    """Whether numbers that could be seconds are ms: only so they follow on each other at the timeframe."""
    if timeframe is None or not any(_is_epoch(text) and abs(float(text)) < times.MS_FROM for text in texts):
        return False
    as_ms, as_s = ([times.epoch_ms(text, small_ms=small) for text in texts] for small in (True, False))
    return _count_steps(as_ms, timeframe.ms) > _count_steps(as_s, timeframe.ms)


def _count_steps(opens: Sequence[int | None], step_ms: int) -> int:
    return sum(a is not None and b is not None and abs(b - a) == step_ms for a, b in pairwise(opens))


def _decide_times(reading: Reading, texts: Sequence[str], layout: Layout, request: ReadRequest) -> None:
    written = [text for text in texts if not _is_epoch(text)]
    reading.order = _order(written, request)
    walls = [wall for text in written if (wall := _read(text, reading.order)) is not None]
    reading.local = any(wall.zone not in (None, UTC) for wall in walls)
    if reading.local and reading.is_dated:
        request.note("dates", "candles of a day and longer were stored under their local date, as the times name it")
    naive = [wall for wall in walls if wall.zone is None]
    if naive and (any(wall.clock for wall in naive) or not reading.is_dated):
        _note_zone(request, layout)
    reading.descending = len(naive) > 1 and naive[0].moment > naive[-1].moment


def _note_zone(request: ReadRequest, layout: Layout) -> None:
    zone = request.options.time_zone
    if zone is None and layout.zone is not None:
        request.note("timeZone", f"times without a zone were read as those of {layout.zone}, as their column says")
        return
    if zone is None:
        text = "times without a zone were read as UTC; --time-zone, as in Europe/Berlin, EST or +02:00, names another"
    else:
        text = f"times without a zone were read as those of {zone}"
    request.note("timeZone", text)


def _order(texts: Sequence[str], request: ReadRequest) -> DateOrder | None:
    """Return the order of day, month and year that all dates allow; None where none of them leaves a doubt."""
    search = OrderSearch()
    for text in texts:
        search.look_at(text)
    if request.options.dates is not None:
        return request.options.dates
    if not search.doubtful and search.proof is None:
        return None
    if len(search.orders) == 1 and search.proof is not None:
        (order,) = search.orders
        request.note("dates", f"dates were read {DATE_ORDERS[order]}, as {search.proof} proves")
        return order
    if (stepped := _order_by_steps(texts, search.orders, request.timeframe)) is not None:
        name = "" if request.timeframe is None else request.timeframe.name
        request.note("dates", f"dates were read {DATE_ORDERS[stepped]}, as only so the steps between them are {name}")
        return stepped
    if request.look_further and search.orders:
        raise UnprovenDatesError
    raise BadInputError(
        f"dates: no date of the file proves which number is the day, as in {search.doubtful or search.proof};"
        f" choose with {' or '.join(f'--dates {order}' for order in sorted(search.orders or times.ORDERS[:2]))}"
    )


def _order_by_steps(texts: Sequence[str], orders: Iterable[DateOrder], timeframe: Timeframe | None) -> DateOrder | None:
    """Return the one order in which rows follow on each other at the timeframe where in all others they jump weeks."""
    if timeframe is None:
        return None
    steps = {order: _steps(texts, order) for order in orders}
    for order, mine in steps.items():
        others = [theirs for other, theirs in steps.items() if other != order]
        if others and all(_is_proof(mine, theirs, timeframe.ms) for theirs in others):
            return order
    return None


def _is_proof(mine: Sequence[int | None], theirs: Sequence[int | None], step_ms: int) -> bool:
    differing = [(one, other) for one, other in zip(mine, theirs, strict=True) if one != other]
    certain = [one == step_ms and (other is None or other >= _WEEKS_MS) for one, other in differing]
    return any(certain) and not any(other == step_ms for _, other in differing)


def _steps(texts: Sequence[str], order: DateOrder) -> list[int | None]:
    """List the steps between dates read in one order; None at a text that is none."""
    moments = [None if (wall := _read(text, order)) is None else times.utc_ms(wall.moment) for text in texts]
    return [None if a is None or b is None else abs(b - a) for a, b in pairwise(moments)]


def _read(text: str, order: DateOrder | None) -> Wall | None:
    try:
        return times.compact(text) or times.wall(text, order)
    except (NotATimeError, UnknownOrderError, ValueError):
        return None


class OrderSearch:
    """Looks through dates for one that proves which number is the day."""

    def __init__(self) -> None:
        self.orders: set[DateOrder] = set(times.ORDERS)
        self.doubtful: str | None = None
        self.proof: str | None = None

    def look_at(self, text: str) -> None:
        """Take one date into account."""
        try:
            allowed = times.orders_of(text)
        except NotATimeError:
            return
        if not allowed or len(allowed) == len(times.ORDERS):
            return
        if len(allowed) > 1 and self.doubtful is None:
            self.doubtful = text[:40] if _is_doubtful(text) else None
        if len(self.orders.intersection(allowed)) < len(self.orders):
            self.orders.intersection_update(allowed)
            self.proof = text[:40] if len(allowed) == 1 else self.proof


def _is_doubtful(text: str) -> bool:
    try:
        times.wall(text)
    except UnknownOrderError:
        return True
    except NotATimeError:
        return False
    return False


def _decide_numbers(reading: Reading, rows: Sequence[Row], request: ReadRequest) -> None:
    if request.options.decimal is not None:
        reading.decimal = request.options.decimal
        return
    cells = list(map(str, chain.from_iterable(row[2:6] for row in rows)))
    if not any("," in cell for cell in cells):
        cells += [str(row[6]) for row in rows]
    if any("," in cell for cell in cells):
        reading.decimal = decimal_separator(cells)
        if reading.decimal == ",":
            request.note("numbers", "the comma of numbers was read as the decimal separator")


def _check(rows: Sequence[Row], reading: Reading, request: ReadRequest) -> None:
    """Refuse rows whose steps are those of another timeframe, and days that begin at midnight of an unnamed place."""
    opens = [open_ms for row in rows if (open_ms := _open_ms(row[1], reading)) is not None]
    request.step = request.step or timeframe_of(opens)
    if request.timeframe is None:
        return
    check_steps(opens, request.timeframe)
    certain = not any(_is_naive(str(row[1]).strip(), reading) for row in rows[:LOOKED_AT])
    if reading.is_dated and reading.zone is None and not reading.local and certain:
        _check_midnight(opens, request.timeframe.name)


def _check_flaws(rows: Sequence[Row], reading: Reading) -> None:
    """Refuse one of several files in which most of the first rows are no candles: the others are to be stored."""
    flaws = [(row[0], flaw) for row in rows if (flaw := find_flaw(row, reading)) is not None]
    if len(flaws) * 2 > len(rows):
        line_number, flaw = flaws[0]
        raise BadInputError(
            f"file: {len(flaws):,} of its first {len(rows):,} rows are refused; line {line_number}: {flaw}"
        )


def _is_naive(text: str, reading: Reading) -> bool:
    wall = None if _is_epoch(text) else _read(text, reading.order)
    return wall is not None and wall.zone is None


def _open_ms(value: Value, reading: Reading) -> int | None:
    try:
        return reading.time(value)
    except RowError:
        return None


def _check_midnight(opens: Sequence[int], timeframe: str) -> None:
    """Refuse days that all begin at the same full hour of a UTC afternoon: which date they are is not known."""
    hours = {open_ms % DAY_MS for open_ms in opens}
    if not hours or any(hour % _HOUR_MS for hour in hours) or max(hours) <= DAY_MS // 2:
        return
    latest = max(hours)
    if all((latest - hour) % DAY_MS in (0, _HOUR_MS) or (hour - latest) % DAY_MS == _HOUR_MS for hour in hours):
        raise BadInputError(
            f"timeZone: {timeframe} candles that open at {latest // _HOUR_MS}:00 UTC begin a day elsewhere;"
            " name the place whose date they have, as in --time-zone Europe/Berlin"
        )
