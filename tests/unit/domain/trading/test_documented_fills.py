"""The examples of docs/strategies.md that answer questions about fills."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from app.domain.event import Event
from app.domain.trading.settings import Sizing
from tests.paths import ROOT
from tests.support.trading import MINUTE, Script, bar, broker_config, of, play

TEXT = (ROOT / "docs" / "strategies.md").read_text()
EXAMPLES = re.findall(r"\*\*([^*]+\?)\*\*[^\n]*\n```text\n(.*?)```", TEXT, flags=re.DOTALL)
SETTINGS: dict[str, Callable[[str], tuple[str, Any]]] = {
    "fill": lambda text: ("fill", text),
    "leverage": lambda text: ("leverage", Decimal(text)),
    "volume_share": lambda text: ("volume_share", Decimal(text)),
    "sizing.qtyStep": lambda text: ("sizing", Sizing("equityPct", Decimal(100), Decimal(text))),
}


def action(calls: str) -> Callable[[Script], Any]:
    """Return what an example calls at one candle."""

    def do(script: Script) -> Any:
        names = {name: getattr(script, name) for name in ("buy", "sell", "close", "cancel")}
        return eval(f"({calls},)", {"__builtins__": {}}, names)

    return do


def events_of(example: dict[str, str]) -> list[Event]:
    """Run an example."""
    candles = []
    for number, text in enumerate(example["candles"].split(" | ")):
        prices, _, volume = text.partition(" v")
        candles.append(bar(number, prices, volume=volume or "1000"))
    actions = {
        int(bar_): action(calls) for bar_, calls in re.findall(r"(\d+): (.+?)(?:; (?=\d+:)|$)", example["orders"])
    }
    given = [item.split("=") for item in example.get("settings", "").split()]
    return play(candles, actions, broker_config(**dict(SETTINGS[name](value) for name, value in given)))


def filled(event: Event) -> str:
    data = event.payload
    number = event.ts // MINUTE - (data["policy"] == "same_close")
    return f"{data['side']} {data['qty']} @ {data['price']} in {number}"


@pytest.mark.parametrize(("question", "text"), EXAMPLES, ids=[question for question, _ in EXAMPLES])
def test_an_example_of_the_document_fills_as_it_says(question: str, text: str) -> None:
    example = dict(re.findall(r"^(\w+) +(.+)$", text, flags=re.MULTILINE))
    events = events_of(example)
    assert "; ".join(filled(event) for event in events if event.type == "fill") == example["fills"]
    if "ids" in example:
        types = {order["orderId"]: order["type"] for order in of(events, "order")}
        assert "; ".join(f"{number} {type_}" for number, type_ in types.items()) == example["ids"]


def test_every_question_has_its_example() -> None:
    section = TEXT.split("## Questions about fills, answered by examples\n")[1].split("\n## ")[0]
    assert [question for question, _ in EXAMPLES] == re.findall(r"^\*\*([^*]+\?)\*\*", section, flags=re.MULTILINE)
    assert len(EXAMPLES) > 13
