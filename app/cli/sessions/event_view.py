"""How the command line prints events: as readable lines or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from app.cli import output
from app.db.log.events import Frames
from app.domain.visible import visible

_DATA = "data: "


def events(frames: Frames) -> Iterator[str]:
    """Yield the events of a page as JSON text, exactly as Postgres rendered them."""
    for text in frames.body.decode().split("\n"):
        if text.startswith(_DATA):
            yield text.removeprefix(_DATA)


def as_json(event: str) -> str:
    """Return an event for scripts: a line of JSON."""
    return event


def line(event: str) -> str:
    """Return an event for people: seq, simulated time, type and a short form of its payload."""
    read = json.loads(event, parse_float=str, parse_int=str)
    format_payload = _FORMATS.get(read["type"])
    what = format_payload(read["payload"]) if format_payload else _payload(event)
    return f"{read['seq']:>6}  {output.utc(int(read['ts']))}  {read['type']:<8}{visible(what)}"


def _payload(event: str) -> str:
    """Return the payload as Postgres rendered it, its numbers exact."""
    return event.partition('"payload":')[2].removesuffix("}")


def _candle(payload: dict[str, Any]) -> str:
    candle = payload["candle"]
    prices = "  ".join(f"{name} {candle[name]}" for name in ("open", "high", "low", "close", "volume"))
    return f"{payload['symbol']} {payload['timeframe']}  {prices}{'  synthetic' if payload.get('synthetic') else ''}"


def _status(payload: dict[str, Any]) -> str:
    return f"{payload['status']}: {payload.get('error', payload['reason'])}, by {payload['by']}"


def _gap(payload: dict[str, Any]) -> str:
    range_ = f"{output.utc(int(payload['fromMs']))} to {output.utc(int(payload['toMs']))}"
    return f"{payload['symbol']} {payload['timeframe']}  {range_}, {payload['missing']} missing"


def trade_words(trade: dict[str, Any]) -> str:
    """Return a closed trade in words."""
    days, rest = divmod(max(0, int(trade["exitTs"]) - int(trade["entryTs"])), 86_400_000)
    held = f"{days} d {rest // 3_600_000} h" if days else f"{rest // 3_600_000} h {rest // 60_000 % 60} min"
    profit = output.number(trade["netPnl"], sign=True)
    qty, entry, exit_price = (output.number(trade[name]) for name in ("qty", "entryPrice", "exitPrice"))
    return (
        f"{trade['side'].lower()} {qty} {trade['symbol']} from {entry} to {exit_price}: {profit} after fees of"
        f" {output.number(trade['fees'])},"
        f" held {held}, {trade['reason']}"
    )


def _fill(fill: dict[str, Any]) -> str:
    word = "bought" if fill["side"] == "BUY" else "sold"
    fee = output.number(fill["fee"])
    return (
        f"{word} {output.number(fill['qty'])} {fill['symbol']} at {output.number(fill['price'])}, fee {fee},"
        f" order {fill['orderId']}"
    )


def _order(order: dict[str, Any]) -> str:
    """Return an order in words: what it is, and what became of it."""
    prices = [f"{word} {output.number(order[name])}" for name, word in _PRICES.items() if order.get(name) is not None]
    size = "" if order.get("qty") is None else f" {output.number(order['qty'])}"
    reason = f": {order['reason']}" if order.get("reason") else ""
    what = [f"{order['side'].lower()}{size} {order['symbol']}", order["type"], *prices, order["status"]]
    return f"order {order['orderId']}, {', '.join(what)}{reason}"


def _signal(signal: dict[str, Any]) -> str:
    shown = ", ".join(f"{name} {output.number(value)}" for name, value in (signal.get("indicators") or {}).items())
    return f"{signal['direction'].lower()} {signal['symbol']}: {signal['reason']}{f' ({shown})' if shown else ''}"


def _equity(equity: dict[str, Any]) -> str:
    return f"{output.number(equity['equity'])}, cash {output.number(equity['cash'])}, drawdown {_percent(equity)}"


def _percent(equity: dict[str, Any]) -> str:
    return f"{float(equity['drawdownPct']):.2f} %"


_PRICES = {"limitPrice": "limit price", "stopPrice": "stop price"}
_FORMATS: dict[str, Callable[[dict[str, Any]], str]] = {
    "candle": _candle,
    "status": _status,
    "gap": _gap,
    "order": _order,
    "fill": _fill,
    "trade": trade_words,
    "signal": _signal,
    "equity": _equity,
}
