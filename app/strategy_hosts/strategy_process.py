"""A child process: runs strategies of one's own, many sessions in turn, as asked through a pipe.

The code it imports may do anything, so the server believes nothing it says and kills it when it is late. Requests
and answers go through pipes of their own: what a strategy prints ends up on stderr.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import inspect
import json
import os
import signal
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, BinaryIO

import psutil

from app.domain.event import Event
from app.domain.snapshot import from_text, to_text
from app.domain.trading.handover import Stage, StrategyChain
from app.domain.trading.strategy import Strategy
from app.domain.trading.strategy_runner import StrategyRunner
from app.errors import BadInputError
from app.strategies.registry import BUILT_IN
from app.strategy_hosts.own_app import let_import_own_app
from app.strategy_hosts.protocol import (
    BROKER_CONFIG,
    FLUSH_S,
    HEAD_BYTES,
    SLOT_EVENTS,
    START_CANDLES,
    decode_slots,
    encode_answer,
    frame,
)
from app.strategy_hosts.strategy_files import StrategyRef, slug_of, strategy_files

_APP = str(Path(__file__).parents[1])
_LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))
_PR_SET_PDEATHSIG = 1
_TICKS = 10
"""Into so many ticks the time a strategy has for a candle is divided."""
_SAID = 2000
"""So many characters of what an exception says are kept."""


class TimeLimitError(BaseException):
    """A strategy took too long; no `Exception`, so that a strategy does not catch it by accident."""


class HostedStrategy:
    """One session in this process: its traders, and whether they have been shown anything yet."""

    def __init__(self, traders: StrategyChain, modules: list[str]) -> None:
        self.traders = traders
        self.modules = modules
        self.fresh = True


class StrategyProcess:
    """Answers requests one after the other."""

    def __init__(self, answers: BinaryIO, candle_s: float) -> None:
        self._answers = answers
        self._candle_s = candle_s
        self._seats: dict[str, HostedStrategy] = {}
        self._loaded = 0
        self._threads = threading.active_count()
        self._process = psutil.Process()
        self._calls: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "hello": lambda _: {},
            "describe": self._describe,
            "check": self._check,
            "open": self._open,
            "warm": self._warm,
            "slots": self._slots,
            "snapshot": self._snapshot,
            "restore": self._restore,
            "close": self._close,
        }

    def serve(self, requests: BinaryIO) -> None:
        """Answer until the pipe ends."""
        while head := requests.read(HEAD_BYTES):
            request = json.loads(requests.read(int.from_bytes(head, "big")))
            try:
                answer = self._calls[request["call"]](request)
            except BaseException as error:
                self._drop(request.get("session"))
                answer = {"failed": _last_line(error), "input": isinstance(error, BadInputError), **_details(error)}
            self._send({"done": True, "rss": self._process.memory_info().rss, **answer})

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the strategies of a module: class name, slug and the schema of the parameters."""
        code = StrategyRef(*request["code"])
        with _Limit(START_CANDLES * self._candle_s):
            module = self._module(code, [])
            names = [code.attribute] if code.attribute else _strategies(module)
            schemas = {name: _named(module, name).parameter_schema() for name in names}
            described = [(name, code.slug or slug_of(name), parameters) for name, parameters in schemas.items()]
        return {"strategies": described}

    def _check(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make a strategy with a config, to see whether it can be."""
        with _Limit(START_CANDLES * self._candle_s):
            self._strategy(request["strategy"], request["config"], [])
        return {}

    def _open(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make the traders of a session."""
        modules: list[str] = []
        turns, traders = [], []
        with _Limit(START_CANDLES * self._candle_s):
            for slug, strategy, config, terms, to_cursor_ms in request["turns"]:
                turn = Stage(slug, config, BROKER_CONFIG.validate_python(terms), to_cursor_ms)
                turns.append(turn)
                made = None if strategy is None else self._strategy(strategy, config, modules)
                traders.append(None if made is None else StrategyRunner(made, turn.broker_config))
        self._seats[request["session"]] = HostedStrategy(StrategyChain(turns, traders), modules)
        return {}

    def _warm(self, request: dict[str, Any]) -> dict[str, Any]:
        seat = self._seats[request["session"]]
        begun = time.monotonic()
        for slot in decode_slots(request["slots"]):
            with _Limit(self._allowed_s(seat, len(slot.candles))):
                seat.traders.warm(slot.candles)
        return {"took": time.monotonic() - begun}

    def _slots(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer slots; answers that have waited for a while are sent ahead of the rest."""
        seat = self._seats[request["session"]]
        waiting: list[list[Event]] = []
        begun = flushed = time.monotonic()
        try:
            for slot in decode_slots(request["slots"]):
                with _Limit(self._allowed_s(seat, len(slot.candles))):
                    waiting.append(_sound(seat.traders.answer(slot)))
                if time.monotonic() - flushed > FLUSH_S:
                    self._send({"done": False}, waiting)
                    waiting, flushed = [], time.monotonic()
        finally:
            self._send({"done": False}, waiting)
        return {"took": time.monotonic() - begun}

    def _snapshot(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a session's state; one that cannot be had is done without."""
        try:
            with _Limit(self._candle_s):
                kept = self._seats[request["session"]].traders.snapshot()
                return {"snapshot": None if kept is None else to_text(kept)}
        except (Exception, TimeLimitError) as error:
            return {"snapshot": None, "why": _last_line(error)}

    def _restore(self, request: dict[str, Any]) -> dict[str, Any]:
        seat = self._seats[request["session"]]
        seat.fresh = False
        with _Limit(START_CANDLES * self._candle_s):
            seat.traders.restore(from_text(request["snapshot"]))
        return {}

    def _close(self, request: dict[str, Any]) -> dict[str, Any]:
        """Forget a session, and say whether something of it, or of another, goes on in a thread."""
        self._drop(request["session"])
        return {"haunted": threading.active_count() > self._threads}

    def _drop(self, session: str | None) -> None:
        """Forget a session and the modules that were imported for it alone."""
        seat = self._seats.pop(session, None) if session else None
        if seat is not None:
            for name in seat.modules:
                sys.modules.pop(name, None)
            del seat
            gc.collect()

    def _allowed_s(self, seat: HostedStrategy, candles: int) -> float:
        candles, seat.fresh = (START_CANDLES if seat.fresh else max(1, candles)), False
        return candles * self._candle_s

    def _strategy(self, strategy: dict[str, Any], config: dict[str, Any], modules: list[str]) -> Strategy:
        """Make a strategy, from the very files the server looked at."""
        if "builtIn" in strategy:
            return BUILT_IN[strategy["builtIn"]](**config)
        code = StrategyRef(*strategy["code"])
        cls = _named(self._module(code, modules), strategy["class"])
        if strategy_files(code).hash != strategy["files"]:
            raise ImportError(f"{code.label} changed while it was imported")
        return cls(**config)

    def _module(self, code: StrategyRef, modules: list[str]) -> ModuleType:
        """Import a module; a file of a folder anew each time, so that no two sessions share what it remembers."""
        if code.path is None:
            return importlib.import_module(code.module)
        folder = Path(code.path).parent
        let_import_own_app(folder)
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
        self._loaded += 1
        name = f"zeon_strategy_{self._loaded}_{code.module}"
        spec = spec_from_file_location(name, code.path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[name] = module
        modules.append(name)
        spec.loader.exec_module(module)
        return module

    def _send(self, head: dict[str, Any], slots: list[list[Event]] | None = None) -> None:
        self._answers.write(frame(encode_answer(head, slots or ())))
        self._answers.flush()


class _Limit:
    """Interrupts what is in the block after `seconds`, where Python can be interrupted at all.

    Counted are ticks of a tenth of the time, and the processor's time. Where the machine, or this process, stands still
    no processor works and any number of ticks come as one, so that it is not the strategy that took too long.
    """

    ticks_left = 0
    until_s = 0.0

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        _Limit.ticks_left, _Limit.until_s = _TICKS, time.thread_time() + self._seconds
        signal.setitimer(signal.ITIMER_REAL, self._seconds / _TICKS, self._seconds / _TICKS)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)

    @staticmethod
    def over() -> bool:
        """Count a tick, and tell whether that ends it."""
        _Limit.ticks_left -= 1
        if _Limit.ticks_left > 0 and time.thread_time() < _Limit.until_s:
            return False
        signal.setitimer(signal.ITIMER_REAL, 0)
        return True


def _sound(events: list[Event]) -> list[Event]:
    """Return a slot's events if they can be sent."""
    if len(events) > SLOT_EVENTS:
        raise ValueError(f"{len(events)} events in one slot, at most {SLOT_EVENTS} are allowed")
    if not all(isinstance(event, Event) for event in events):
        raise TypeError("among the events of the slot is something else")
    return events


def _strategies(module: ModuleType) -> Iterator[str]:
    """Yield the names of the strategies a module defines itself; `_Name` is but a base of others."""
    for name, value in vars(module).items():
        if _is_strategy(value) and value.__module__ == module.__name__ and name[0] != "_":
            yield name


def _named(module: ModuleType, name: str) -> type[Strategy]:
    value = getattr(module, name)
    if not _is_strategy(value):
        raise TypeError(f"{name} is not a subclass of Strategy")
    found: type[Strategy] = value
    return found


def _is_strategy(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Strategy) and value is not Strategy


def _last_line(error: BaseException) -> str:
    """Return the last line of a traceback; of our own errors only the message."""
    text = "".join(traceback.format_exception_only(error)).strip().splitlines()
    ours = isinstance(error, BadInputError | TimeLimitError)
    line = f"{error}" if ours else text[-1] if text else type(error).__name__
    return _storable(line)[:1000]


def _details(error: BaseException) -> dict[str, str]:
    """Return where an error came up, and all it says where that is more than a line."""
    place, said = _place(error), _storable("".join(traceback.format_exception_only(error)).strip())
    found = {} if place is None else {"at": place}
    return found | ({"exception": said[:_SAID]} if "\n" in said else {})


def _place(error: BaseException) -> str | None:
    """Return file, line and function of the last place an error passed through outside this project and libraries."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith(_APP)]
    frames = [each for each in frames if "importlib" not in each.filename]
    own = [each for each in frames if not each.filename.startswith(_LIBRARIES)] or frames
    return f"{Path(own[-1].filename).name}:{own[-1].lineno} in {own[-1].name}" if own else None


def _storable(text: str) -> str:
    """Return text in characters Postgres can store."""
    return text.encode(errors="replace").decode().replace("\0", "?")


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Take the pipes away from stdin and stdout, so that a strategy can neither read nor write them by accident."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb")


def _die_with(parent: int) -> None:
    """End this process when its parent has ended, whatever a strategy is at by then."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(0)

    threading.Thread(target=look, daemon=True).start()


def main() -> None:
    """Run with the parent's pid and the time limit per candle in ms as arguments."""
    parent, candle_ms = map(int, sys.argv[-2:])
    _die_with(parent)
    requests, answers = _private_pipes()

    def interrupt(_: int, __: FrameType | None) -> None:
        if _Limit.over():
            raise TimeLimitError(f"The strategy took more than {candle_ms} ms for a candle.")

    signal.signal(signal.SIGALRM, interrupt)
    StrategyProcess(answers, candle_ms / 1000).serve(requests)


if __name__ == "__main__":
    main()
