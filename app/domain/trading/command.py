"""Commands: orders, cancellations and closings from outside, in the names of the API, and how the broker takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

from app.domain.event import Event
from app.domain.market.candle import Candle
from app.domain.market.symbol import normalize_symbol
from app.domain.number import format_decimal, parse_decimal, ratio
from app.domain.trading.account import ZERO, FillTime
from app.domain.trading.broker import REDUCED, Broker
from app.domain.trading.order import API_TYPES, PRICES, Order
from app.domain.trading.order_request import positive, require_text, to_order
from app.domain.trading.parameters import did_you_mean
from app.domain.trading.settings import BrokerConfig, Sizing
from app.errors import BadInputError

Action = Literal["order", "cancel", "close"]
ACTIONS: Final = ("order", "cancel", "close")
OPEN_STATUSES: Final = ("accepted", "triggered", "partial")
"""The status of an order's last event while it is open."""
_PRICES = {"limitPrice": "limit", "stopPrice": "stop", "trail": "trail", "trailPct": "trail_pct"}
_PRICES_OF_TYPE: Final = {
    API_TYPES[type_]: tuple({field for field, name in _PRICES.items() if name in names} for names in prices)
    for type_, prices in PRICES.items()
}
"""Type of an order -> the prices that it needs, and those of which it needs exactly one, all in the API's names."""
_EXITS = {"stopLoss": "stop_loss", "takeProfit": "take_profit"}
_SIZES = {"qty": "qty", "cash": "cash", "equityPct": "equity_pct"}
_NUMBERS = {**_SIZES, **_PRICES, **_EXITS}
_ORDER = ("symbol", "side", "type", *_NUMBERS, "reduceOnly", "goodForCandles", "fill", "clientOrderId", "tag", "reason")
_CLOSE = ("symbol", "fill", "tag", "reason")
_FIELDS: Final[dict[str, tuple[str, ...]]] = {"order": _ORDER, "cancel": ("orderId",), "close": _CLOSE}
_SIDES = {"BUY": 1, "SELL": -1}
_FILLS = ("next_open", "same_close")
_MAX_CLIENT_ID = 100
_MAX_CANDLES = 1_000_000
REASON: Final = "command"
"""The reason of orders from outside that name none."""


class Command(NamedTuple):
    """A command as the log names it; `args` are complete, in the names of the API."""

    action: str
    args: Mapping[str, Any]


def resolve(action: str, request: Mapping[str, Any], config: BrokerConfig) -> Command:
    """Return the command of a request: checked, with symbol, size and fill rule filled in.

    Raises `BadInputError`, which names the field.
    """
    if action not in _FIELDS:
        raise BadInputError(f"action: {action!r:.40} is not one of {', '.join(_FIELDS)}")
    args = {name: value for name, value in request.items() if value is not None}
    for name in args:
        if name not in _FIELDS[action]:
            known = dict.fromkeys(_FIELDS[action])
            raise BadInputError(f"{name:.100}: is not a field of {action}{did_you_mean(name, known)}")
    if action == "cancel":
        return Command(action, _resolved_cancel(args))
    resolved = _resolved_order(args, config) if action == "order" else _resolved_close(args, config)
    resolved["fill"] = _choice("fill", args.get("fill", config.fill), _FILLS)
    if resolved.get("goodForCandles") == 0 and resolved["fill"] != "same_close":
        raise BadInputError("goodForCandles: 0 is for orders that fill at once; use it with fill same_close")
    return Command(action, {name: resolved[name] for name in _FIELDS[action] if name in resolved})


def _resolved_cancel(args: dict[str, Any]) -> dict[str, Any]:
    if "orderId" in args:
        args["orderId"] = _whole("orderId", args["orderId"], 2**53)
    return args


def _resolved_close(args: dict[str, Any], config: BrokerConfig) -> dict[str, Any]:
    if "symbol" in args:
        args["symbol"] = _symbol(args["symbol"], config)
    return _with_texts(args)


def _resolved_order(args: dict[str, Any], config: BrokerConfig) -> dict[str, Any]:
    for name in ("side", "type"):
        if name not in args:
            raise BadInputError(f"{name}: is required")
    if "symbol" not in args and len(config.symbols) > 1:
        raise BadInputError(f"symbol: is required, because the session has {', '.join(config.symbols)}")
    args["symbol"] = _symbol(args.get("symbol", config.symbols[0]), config)
    args["side"] = _choice("side", args["side"].upper() if isinstance(args["side"], str) else None, _SIDES)
    args["type"] = _choice("type", args["type"], _PRICES_OF_TYPE)
    for name in _NUMBERS:
        if name in args:
            args[name] = _number(name, args[name])
    _require_prices(args)
    _fill_in_size(args, config.sizing)
    if not isinstance(args.setdefault("reduceOnly", False), bool):
        raise BadInputError("reduceOnly: must be true or false")
    if not args["reduceOnly"]:
        del args["reduceOnly"]
    if "goodForCandles" in args:
        args["goodForCandles"] = _whole("goodForCandles", args["goodForCandles"], _MAX_CANDLES, least=0)
    return _with_texts(args)


def _require_prices(args: Mapping[str, Any]) -> None:
    """Raise `BadInputError` unless an order has exactly the prices of its type."""
    type_ = args["type"]
    needed, one_of = _PRICES_OF_TYPE[type_]
    given = {name for name in _PRICES if name in args}
    if missing := sorted(needed - given):
        raise BadInputError(f"{missing[0]}: an order of type {type_} needs it")
    if one_of and len(given & one_of) != 1:
        raise BadInputError(f"trail: an order of type {type_} needs trail or trailPct")
    if unknown := sorted(given - needed - one_of):
        raise BadInputError(f"{unknown[0]}: an order of type {type_} does not take it")


def _fill_in_size(args: dict[str, Any], default: Sizing) -> None:
    """Fill in the session's sizing if an order has no size; raises `BadInputError` for two sizes."""
    given = [name for name in _SIZES if name in args]
    if len(given) > 1:
        raise BadInputError(f"{given[1]}: give one of qty, cash and equityPct")
    if not given:
        args[default.kind] = default.amount


def _with_texts(args: dict[str, Any]) -> dict[str, Any]:
    for name in ("tag", "reason"):
        if name in args:
            try:
                require_text(args[name])
            except ValueError as error:
                raise BadInputError(f"{name}: {error}") from None
    client_id = args.get("clientOrderId", "-")
    if not isinstance(client_id, str) or not 0 < len(client_id) <= _MAX_CLIENT_ID:
        raise BadInputError(f"clientOrderId: must be text of 1 to {_MAX_CLIENT_ID} characters")
    return args


def _symbol(value: Any, config: BrokerConfig) -> str:
    try:
        symbol = normalize_symbol(value) if isinstance(value, str) else ""
    except BadInputError:
        symbol = ""
    if symbol not in config.symbols:
        raise BadInputError(f"symbol: {value!r:.60} is not a symbol of this session: {', '.join(config.symbols)}")
    return symbol


def _choice(name: str, value: Any, choices: Iterable[str]) -> str:
    known = tuple(choices)
    if not isinstance(value, str) or value not in known:
        raise BadInputError(f"{name}: must be one of {', '.join(known)}")
    return value


def _number(name: str, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise BadInputError(f"{name}: must be a number above zero")
    try:
        return Decimal(format_decimal(positive(name, parse_decimal(value))))
    except ValueError as error:
        raise BadInputError(str(error).replace(name, f"{name}:", 1)) from None


def _whole(name: str, value: Any, largest: int, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= largest:
        raise BadInputError(f"{name}: must be a whole number from {least} to {largest}")
    return value


def apply_command(broker: Broker, command: Command, moment: FillTime, last: Mapping[str, Candle]) -> None:
    """Let a broker take a command at the close of the last slot, whose real candles are `last`.

    All arithmetic needs the `EXACT` context, which the strategy runner sets.
    """
    action, args = command
    if action == "cancel":
        chosen = [order for order in broker.live if args.get("orderId") in (None, order.id)]
        for order in chosen:
            broker.end(moment.ts, order, "cancelled", REASON)
        return
    same_close = args["fill"] == "same_close"
    orders = [_order(broker, args, moment)] if action == "order" else _closing_orders(broker, args, moment)
    for order in orders:
        reason = _rejection(broker, order)
        if reason:
            broker.reject(moment.ts, order, reason)
            continue
        if order.trail is not None:
            order.best = broker.account.marks[order.symbol]
            order.stop = order.trail.level(order.best, order.sign)
        broker.accept(moment.ts, order, order.reason)
        if same_close and order.symbol in last:
            broker.at_last_close(order, last[order.symbol], moment)
        if args.get("goodForCandles") == 0 and order in broker.live:
            broker.end(moment.ts, order, "expired", "the last close did not fill it")


def _order(broker: Broker, args: Mapping[str, Any], moment: FillTime) -> Order:
    request = {name: args[field] for field, name in _NUMBERS.items() if field in args}
    request |= {
        "good_for": args.get("goodForCandles") or None,
        "tag": args.get("tag"),
        "reason": args.get("reason", REASON),
    }
    sign = _SIDES[args["side"]]
    order = to_order(request, broker.next_id(), args["symbol"], sign, moment.bar, broker.config.sizing)
    order.reduce_only = args.get("reduceOnly", False)
    return order


def _closing_orders(broker: Broker, args: Mapping[str, Any], moment: FillTime) -> list[Order]:
    """Return a market order for each position to close; none without a position."""
    positions = broker.account.positions
    chosen = [args["symbol"]] if "symbol" in args else list(positions)
    return [
        Order(
            id=broker.next_id(),
            symbol=symbol,
            sign=-positions[symbol].sign,
            type="market",
            qty=positions[symbol].qty.copy_abs(),
            reduce_only=True,
            tag=args.get("tag"),
            reason=args.get("reason", REASON),
            first_bar=moment.bar + 1,
        )
        for symbol in chosen
        if positions[symbol].qty
    ]


def _rejection(broker: Broker, order: Order) -> str:
    """Return why the broker does not take an order, or ""."""
    if order.reduce_only and broker.account.positions[order.symbol].sign != -order.sign:
        return "there is no position to reduce"
    if order.trail is not None and not broker.account.marks[order.symbol]:
        return f"{order.symbol} has no candle yet, so a trailing stop has no price to start from"
    return ""


def changed_orders(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return the orders that a command's events place or change, as the API shows them, in the order of the events."""
    orders: dict[int, dict[str, Any]] = {}
    costs: dict[int, Decimal] = {}
    for event in events:
        if event.type == "order":
            payload = event.payload
            new = {"placedTs": event.ts, "filledQty": ZERO, "avgPrice": None, "placed": _is_new(payload)}
            known = orders.get(payload["orderId"], new)
            orders[payload["orderId"]] = {**known, **shown_order(payload), "ts": event.ts}
        elif event.type == "fill":
            payload = event.payload
            order = orders[payload["orderId"]]
            qty, price = Decimal(payload["qty"]), Decimal(payload["price"])
            order["filledQty"] += qty
            costs[payload["orderId"]] = costs.get(payload["orderId"], ZERO) + qty * price
            order["avgPrice"] = ratio(costs[payload["orderId"]], order["filledQty"])
    return list(orders.values())


def _is_new(payload: Mapping[str, Any]) -> bool:
    """Whether the first event of an order in a block places it: others are cancelled or reduced by it."""
    return payload["status"] in ("accepted", "rejected") and payload["reason"] != REDUCED


def shown_order(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an order event as the API shows them."""
    optional = {name: payload[name] for name in ("sizing",) if name in payload}
    prices = {name: payload.get(name) for name in ("limitPrice", "stopPrice")}
    names = ("orderId", "symbol", "side", "qty", "status", "reason", "tag")
    return {**{name: payload[name] for name in names}, "type": API_TYPES[payload["type"]], **prices, **optional}
