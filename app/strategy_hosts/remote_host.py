"""Run a session's strategies in a strategy process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

from app.domain.event import Event, render
from app.domain.snapshot import SNAPSHOT_BYTES
from app.domain.trading.command import Command
from app.domain.trading.strategy_runner import SlotView
from app.errors import BadInputError, StrategyFailedError, StrategyTooSlowError
from app.settings import Settings
from app.strategy_hosts.process_pool import Answer, HostClient, ProcessHandle, ProcessPool
from app.strategy_hosts.protocol import FLUSH_S, START_CANDLES
from app.strategy_hosts.strategy_error import DETAILS

_log = logging.getLogger(__name__)
_MAX_SLOTS = 100
_REQUEST_S = 0.05
"""Target seconds per request: all other sessions in the process wait for it."""
_SLOW_SLOT_S = 0.1
"""A strategy that takes longer than this for a slot delays the others in its process."""
_SLOW_SLOTS = 3
"""After this many slow slots in a row the strategy counts as slow, and not just the machine."""
_MOVE_S = 10.0
"""A slow strategy moves to its own process only if recomputing it takes less than this, in seconds."""
_GRACE_S = 1.5
"""How much later than the process's own time limit the server kills it: the machine may be suspended for a while."""


class RemoteHost(HostClient):
    """One session's strategies in a strategy process; see `StrategyHost`."""

    def __init__(self, pool: ProcessPool, process: ProcessHandle, settings: Settings) -> None:
        super().__init__()
        self.error: Exception | None = None
        self._pool = pool
        self._process = process
        self._candle_s = settings.candle_timeout_ms / 1000
        self._max_slot_bytes = settings.max_slot_bytes
        self._id = uuid4().hex
        self._first_request = True
        self._max_slots = _MAX_SLOTS
        self._spent_s = 0.0
        self._slow_slots = 0
        process.clients.add(self)

    async def open(self, stages: Sequence[Any]) -> None:
        """Create the strategies; raises `StrategyFailedError` or `StrategyProcessLostError`."""
        _require_success(await self._send({"call": "open", "stages": stages}, START_CANDLES))

    async def warm_up(self, slots: Sequence[SlotView]) -> None:
        """Call the strategies with slots before the range."""
        for batch in self._batches(slots):
            header, _ = answer = await self._send_slots("warm_up", batch)
            _require_success(answer)
            self._measure(header.get("seconds"), len(batch))

    async def run_slots(self, slots: Sequence[SlotView]) -> list[list[Event]]:
        """Return the events of each slot, up to the one at which a strategy failed.

        Raises `StrategyProcessLostError`, or `StrategyTooSlowError` if the strategy must move to its own process.
        """
        answers: list[list[Event]] = []
        try:
            for batch in self._batches(slots):
                header, events = await self._send_slots("run_slots", batch)
                answers += events[: len(batch)]
                _require_success((header, events), batch[len(events) :])
                if len(events) != len(batch):
                    raise StrategyFailedError("The strategy corrupted its process (the events of a slot are missing).")
                self._measure(header.get("seconds"), len(batch))
        except StrategyFailedError as error:
            self.error = error
        return answers

    async def run_command(self, ts: int, number: int, command: Command) -> list[Event]:
        """Return what the broker makes of a command; raises `StrategyFailedError` or `StrategyProcessLostError`."""
        action, args = command
        answer = await self._send(
            {"call": "run_command", "ts": ts, "number": number, "action": action, "args": render(args)}, 1
        )
        _require_success(answer)
        return answer[1][0]

    async def snapshot(self) -> str | None:
        """Return the state as text; null if a strategy offers none, or one that cannot be stored."""
        header, _ = await self._send({"call": "snapshot"}, 1)
        snapshot = header.get("snapshot")
        if header.get("problem"):
            _log.warning("no snapshot of a strategy: %s", str(header["problem"])[:1000])
        return snapshot if isinstance(snapshot, str) and len(snapshot) <= SNAPSHOT_BYTES else None

    async def restore(self, snapshot: str) -> None:
        """Set new strategies to a `snapshot`; raises `StrategyFailedError` or `StrategyProcessLostError`."""
        self._first_request = False
        _require_success(await self._send({"call": "restore", "snapshot": snapshot}, START_CANDLES))

    def close(self) -> None:
        """Remove the session from its process; a second call is harmless."""
        if self in self._process.clients:
            self._process.send({"call": "close", "session": self._id}, self._candle_s + _GRACE_S).cancel()
            self._pool.release(self._process, self)

    def _batches(self, slots: Sequence[SlotView]) -> Iterator[Sequence[SlotView]]:
        """Split slots into requests; the first slot of all is a request of its own, because it may take longer."""
        start = 0
        while start < len(slots):
            count = 1 if self._first_request else self._max_slots
            yield slots[start : start + count]
            start += count

    def _measure(self, took_s: Any, slots: int) -> None:
        """Adjust the size of requests, so that other sessions of the process can run.

        Raises `StrategyTooSlowError` if a single slot takes too long.
        """
        if not isinstance(took_s, float) or not took_s > 0:
            return
        self._spent_s += took_s
        self._max_slots = max(1, min(_MAX_SLOTS, int(_REQUEST_S * slots / took_s)))
        self._slow_slots = self._slow_slots + slots if took_s > _SLOW_SLOT_S * slots else 0
        self.is_slow = None if 0 < self._slow_slots < _SLOW_SLOTS else self._slow_slots > 0
        delays_others = self.is_slow and any(client.is_slow is False for client in self._process.clients)
        if delays_others and self._spent_s < _MOVE_S and self._pool.has_capacity:
            raise StrategyTooSlowError

    async def _send_slots(self, call: str, slots: Sequence[SlotView]) -> Answer:
        max_candles = max((len(slot.candles) for slot in slots), default=1)
        first, self._first_request = self._first_request, False
        request = {"call": call, "slots": slots, "maxBytes": self._max_slot_bytes}
        return await self._send(request, START_CANDLES if first else max(1, max_candles))

    def _send(self, request: dict[str, Any], candles: int) -> asyncio.Future[Answer]:
        """Send a request whose time limit is that of `candles` candles."""
        allowed_s = candles * self._candle_s + FLUSH_S + _GRACE_S
        return self._process.send({**request, "session": self._id}, allowed_s, self)


def _require_success(answer: Answer, unanswered: Sequence[SlotView] = ()) -> None:
    """Raise `StrategyFailedError` if a strategy process answers that the strategy failed.

    Then `candleMs` of its details is the open time of the first of the slots that have no answer.
    """
    header, _ = answer
    if "failed" in header:
        details: dict[str, Any] = {name: str(header[name]) for name in DETAILS if header.get(name) is not None}
        if unanswered:
            details["candleMs"] = unanswered[0].open_time_ms
        raise StrategyFailedError(str(header["failed"]), details=details or None)


def require_valid_config(answer: Answer) -> None:
    """Raise `BadInputError` if a strategy process answers that a strategy cannot be created with a config."""
    try:
        _require_success(answer)
    except StrategyFailedError as error:
        raise BadInputError(error.message if answer[0].get("input") else f"config: {error.message}") from None
