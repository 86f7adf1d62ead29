"""The events of a log and the payload of each type; `docs/events.md` explains the fields.

Times are ms UTC. After `event.type == "candle"` a type checker knows the fields of the payload.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, NotRequired, TypeVar, cast

from typing_extensions import TypedDict

if TYPE_CHECKING:
    import pandas

Side = Literal["BUY", "SELL"]
Type = TypeVar("Type", bound=str, covariant=True)
Payload = TypeVar("Payload", covariant=True)


class StatusPayload(TypedDict):
    """A change of the session's status, by a user, a database role or a process."""

    status: Literal["running", "paused", "stopped", "finished", "failed"]
    reason: str
    cursorMs: int | None
    by: str
    error: NotRequired[str]


class ControlPayload(TypedDict):
    """An action of a user or of the server on the session's time."""

    action: str
    args: dict[str, Any]
    by: str
    command: NotRequired[int]
    cursorMs: NotRequired[int | None]


class CandleValues(TypedDict):
    """A closed candle; `closeTimeMs` is exclusive."""

    openTimeMs: int
    closeTimeMs: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class CandlePayload(TypedDict):
    """A closed candle; `synthetic` if it fills a gap."""

    symbol: str
    timeframe: str
    candle: CandleValues
    synthetic: NotRequired[bool]


class GapPayload(TypedDict):
    """Slots `[fromMs, toMs)` without a candle, `missing` of them."""

    symbol: str
    timeframe: str
    fromMs: int
    toMs: int
    missing: int


class SignalPayload(TypedDict):
    """A conclusion of a strategy."""

    symbol: str
    direction: Literal["LONG", "SHORT", "EXIT"]
    reason: str
    indicators: dict[str, float]


class OrderPayload(TypedDict):
    """One change of an order; `qty` is null, with `sizing`, until the size is fixed."""

    orderId: int
    symbol: str
    side: Side
    type: str
    qty: float | None
    status: Literal["accepted", "rejected", "triggered", "partial", "filled", "cancelled", "expired"]
    reason: str
    tag: str | None
    sizing: NotRequired[dict[str, float]]
    limitPrice: NotRequired[float]
    stopPrice: NotRequired[float]


class FillPayload(TypedDict):
    """One execution; `slippage` per unit."""

    orderId: int
    symbol: str
    side: Side
    qty: float
    price: float
    fee: float
    slippage: float
    policy: str


class TradePayload(TypedDict):
    """One closed lot, first in, first out; `fees` of both sides, pro rata."""

    symbol: str
    side: Literal["LONG", "SHORT"]
    qty: float
    entryPrice: float
    exitPrice: float
    entryTs: int
    exitTs: int
    grossPnl: float
    fees: float
    netPnl: float
    holdBars: int
    reason: str


class FundingPayload(TypedDict):
    """Funding paid for a position, `times` at once; an `amount` below 0 was received."""

    symbol: str
    qty: float
    price: float
    times: int
    amount: float


class InterestPayload(TypedDict):
    """A day's interest on borrowed cash and on the value of short positions."""

    borrowedCash: float
    shortValue: float
    amount: float


class EquityPayload(TypedDict):
    """The account after a tick; with several symbols `positions` instead of `positionQty`."""

    cash: float
    positionValue: float
    equity: float
    realizedPnl: float
    unrealizedPnl: float
    feesPaid: float
    peakEquity: float
    drawdownPct: float
    fundingPaid: NotRequired[float]
    interestPaid: NotRequired[float]
    positionQty: NotRequired[float]
    positions: NotRequired[dict[str, dict[str, float]]]


class LogPayload(TypedDict):
    """A message of a strategy."""

    message: str


class PlotPayload(TypedDict):
    """A point of a line that a strategy draws."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Event(Generic[Type, Payload]):
    """One event: its number in the log, its simulated time (ms UTC), its type and its payload."""

    seq: int
    ts: int
    type: Type
    payload: Payload


StatusEvent = Event[Literal["status"], StatusPayload]
ControlEvent = Event[Literal["control"], ControlPayload]
CandleEvent = Event[Literal["candle"], CandlePayload]
GapEvent = Event[Literal["gap"], GapPayload]
SignalEvent = Event[Literal["signal"], SignalPayload]
OrderEvent = Event[Literal["order"], OrderPayload]
FillEvent = Event[Literal["fill"], FillPayload]
TradeEvent = Event[Literal["trade"], TradePayload]
FundingEvent = Event[Literal["funding"], FundingPayload]
InterestEvent = Event[Literal["interest"], InterestPayload]
EquityEvent = Event[Literal["equity"], EquityPayload]
LogEvent = Event[Literal["log"], LogPayload]
PlotEvent = Event[Literal["plot"], PlotPayload]
NoteEvent = Event[Literal["note"], dict[str, Any]]
_Market = CandleEvent | GapEvent | StatusEvent | ControlEvent | NoteEvent
_Trading = SignalEvent | OrderEvent | FillEvent | TradeEvent | EquityEvent | LogEvent | PlotEvent
_Costs = FundingEvent | InterestEvent
AnyEvent = _Market | _Trading | _Costs


def event_of(message: Mapping[str, Any]) -> AnyEvent:
    """Return the event of a JSON object of the API."""
    return cast("AnyEvent", Event(message["seq"], message["ts"], message["type"], message["payload"]))


def events_frame(events: Iterable[AnyEvent]) -> pandas.DataFrame:
    """Return a DataFrame with one row per event, indexed by seq: `ts`, `at` (UTC), `type`, and the payload's fields.

    The values of a candle are columns (`open`, `high` …); the `type` in an order's payload is `type_payload`.
    """
    import pandas

    rows = list(events)
    frame = pandas.DataFrame({"ts": [event.ts for event in rows], "type": [event.type for event in rows]})
    frame.insert(1, "at", pandas.to_datetime(frame["ts"], unit="ms", utc=True))
    payloads = pandas.json_normalize([cast("dict[str, Any]", event.payload) for event in rows])
    names = [name.removeprefix("candle.") for name in payloads.columns]
    payloads.columns = [f"{name}_payload" if name in frame.columns else name for name in names]
    return frame.join(payloads).set_index(pandas.Index([event.seq for event in rows], name="seq"))
