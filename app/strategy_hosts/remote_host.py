"""The traders of a session whose strategies run in a child process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

from app.domain.event import Event
from app.domain.snapshot import SNAPSHOT_BYTES
from app.domain.trading.strategy_runner import SlotView
from app.errors import BadInputError, StrategyFailedError, StrategyTooSlowError
from app.strategy_hosts.process_pool import Answer, HostClient, ProcessHandle, ProcessPool
from app.strategy_hosts.protocol import FLUSH_S, START_CANDLES

_log = logging.getLogger(__name__)
_BATCH = 100
_TURN_S = 0.05
"""How long a request may take where it can be helped: everybody else in the child waits for it."""
_SLOW_S = 0.1
"""Who needs longer for a slot holds up the others."""
_SLOW_SLOTS = 3
"""So many slots in a row tell that it is the strategy, not the moment."""
_MOVE_S = 10.0
"""A slow strategy moves out while computing it again costs less than this."""
_GRACE_S = 1.5
"""How much later than the child's own limit the server steps in: more than a machine may stand still unnoticed."""


class RemoteHost(HostClient):
    """One session's seat in a child; see `StrategyHost`."""

    def __init__(self, children: ProcessPool, child: ProcessHandle, candle_s: float) -> None:
        super().__init__()
        self.fault: Exception | None = None
        self._children = children
        self._child = child
        self._candle_s = candle_s
        self._id = uuid4().hex
        self._fresh = True
        self._most = _BATCH
        self._spent_s = 0.0
        self._dragged = 0
        child.tenants.add(self)

    async def open(self, turns: Sequence[Any]) -> None:
        """Take the seat; raises `StrategyFailedError` or `StrategyProcessLostError`."""
        _require_answer(await self._ask({"call": "open", "turns": turns}, START_CANDLES))

    async def warm(self, slots: Sequence[SlotView]) -> None:
        """Show the strategies slots from before the range."""
        for batch in self._batches(slots):
            head, _ = answer = await self._show("warm", batch)
            _require_answer(answer)
            self._time(head.get("took"), len(batch))

    async def answer(self, slots: Sequence[SlotView]) -> list[list[Event]]:
        """Return what follows from each slot, up to the one at which a strategy failed.

        Raises `StrategyProcessLostError`, `StrategyTooSlowError` among it.
        """
        answers: list[list[Event]] = []
        try:
            for batch in self._batches(slots):
                head, answered = await self._show("slots", batch)
                answers += answered[: len(batch)]
                _require_answer((head, answered))
                if len(answered) != len(batch):
                    raise StrategyFailedError("The strategy broke the process it runs in: answers are missing.")
                self._time(head.get("took"), len(batch))
        except StrategyFailedError as fault:
            self.fault = fault
        return answers

    async def snapshot(self) -> str | None:
        """Return the traders' state as text; null when the strategy offers none, or one that cannot be kept."""
        head, _ = await self._ask({"call": "snapshot"}, 1)
        kept = head.get("snapshot")
        if head.get("why"):
            _log.warning("a strategy's snapshot cannot be kept: %s", str(head["why"])[:1000])
        return kept if isinstance(kept, str) and len(kept) <= SNAPSHOT_BYTES else None

    async def restore(self, kept: str) -> None:
        """Bring fresh traders to a `snapshot`; raises `StrategyFailedError` or `StrategyProcessLostError`."""
        self._fresh = False
        _require_answer(await self._ask({"call": "restore", "snapshot": kept}, START_CANDLES))

    def close(self) -> None:
        """Give up the seat; harmless when done twice."""
        if self in self._child.tenants:
            self._child.ask({"call": "close", "session": self._id}, self._candle_s + _GRACE_S).cancel()
            self._children.leave(self._child, self)

    def _batches(self, slots: Sequence[SlotView]) -> Iterator[Sequence[SlotView]]:
        """Cut slots into requests; the first slot of all goes alone, since it may take longer."""
        start = 0
        while start < len(slots):
            count = 1 if self._fresh else self._most
            yield slots[start : start + count]
            start += count

    def _time(self, took_s: Any, slots: int) -> None:
        """Ask in portions, to let others run; raises `StrategyTooSlowError` to get a process of its own."""
        if not isinstance(took_s, float) or not took_s > 0:
            return
        self._spent_s += took_s
        self._most = max(1, min(_BATCH, int(_TURN_S * slots / took_s)))
        self._dragged = self._dragged + slots if took_s > _SLOW_S * slots else 0
        self.slow = None if 0 < self._dragged < _SLOW_SLOTS else self._dragged > 0
        hindered = any(tenant.slow is False for tenant in self._child.tenants)
        if self.slow and hindered and self._spent_s < _MOVE_S and self._children.roomy:
            raise StrategyTooSlowError

    async def _show(self, call: str, slots: Sequence[SlotView]) -> Answer:
        most = max((len(slot.candles) for slot in slots), default=1)
        fresh, self._fresh = self._fresh, False
        return await self._ask({"call": call, "slots": slots}, START_CANDLES if fresh else max(1, most))

    def _ask(self, request: dict[str, Any], candles: int) -> asyncio.Future[Answer]:
        allowed_s = candles * self._candle_s + FLUSH_S + _GRACE_S
        return self._child.ask({**request, "session": self._id}, allowed_s, self)


def _require_answer(answer: Answer) -> None:
    """Raise `StrategyFailedError` when a child answers that the strategy failed."""
    head, _ = answer
    if "failed" in head:
        details = {name: str(head[name]) for name in ("at", "exception") if head.get(name) is not None}
        raise StrategyFailedError(str(head["failed"]), details=details or None)


def require_input(answer: Answer) -> None:
    """Raise `BadInputError` when a child answers that a strategy cannot be made with a config."""
    try:
        _require_answer(answer)
    except StrategyFailedError as fault:
        raise BadInputError(fault.message if answer[0].get("input") else f"config: {fault.message}") from None
