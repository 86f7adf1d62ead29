"""The program of a strategy process: it runs user strategies of many sessions, one request at a time.

The code it imports may do anything, so the server trusts none of its answers and kills it when it is late. Requests
and answers use private pipes: what a strategy prints goes to stderr, which the guard reads (`guard.py`).
"""

from __future__ import annotations

import gc
import importlib
import inspect
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from importlib.util import module_from_spec, spec_from_file_location
from io import TextIOWrapper
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, BinaryIO

import psutil

from app.domain.event import Event
from app.domain.snapshot import from_text, to_text
from app.domain.trading.command import Command
from app.domain.trading.handover import Stage, StrategyChain
from app.domain.trading.needs import Needs, declared_needs
from app.domain.trading.slug import slug_of
from app.domain.trading.strategy import Strategy
from app.domain.trading.strategy_runner import StrategyRunner
from app.errors import BadInputError
from app.strategies.registry import BUILT_IN
from app.strategy_hosts.own_app import let_import_own_app
from app.strategy_hosts.protocol import (
    BROKER_CONFIG,
    FLUSH_S,
    HEADER_BYTES,
    SLOT_EVENTS,
    START_CANDLES,
    decode_slots,
    encode_answer,
    frame,
)
from app.strategy_hosts.slot_size import require_small_slot
from app.strategy_hosts.strategy_error import TimeLimitError, details, last_line
from app.strategy_hosts.strategy_files import StrategyRef, strategy_files

_TICKS = 10
"""The time limit of a candle is measured in this many timer ticks."""


class HostedStrategy:
    """One session in this process: its strategies, the modules imported for it, and whether a slot has run."""

    def __init__(self, strategies: StrategyChain, modules: list[str]) -> None:
        self.strategies = strategies
        self.modules = modules
        self.started = False


class StrategyProcess:
    """Answers requests in order."""

    def __init__(self, answers: BinaryIO, candle_s: float) -> None:
        self._answers = answers
        self._candle_s = candle_s
        self._hosted: dict[str, HostedStrategy] = {}
        self._loaded = 0
        self._own_threads = threading.active_count()
        self._process = psutil.Process()
        self._calls: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "hello": lambda _: {},
            "describe": self._describe,
            "check": self._check,
            "open": self._open,
            "warm_up": self._warm_up,
            "run_slots": self._run_slots,
            "run_command": self._run_command,
            "snapshot": self._snapshot,
            "restore": self._restore,
            "close": self._close,
        }

    def serve(self, requests: BinaryIO) -> None:
        """Answer until the pipe ends."""
        while header := requests.read(HEADER_BYTES):
            request = json.loads(requests.read(int.from_bytes(header, "big")))
            try:
                answer = self._calls[request["call"]](request)
            except BaseException as error:
                self._drop(request.get("session"))
                answer = {"failed": last_line(error), "input": isinstance(error, BadInputError), **details(error)}
            self._send({"done": True, "rss": self._process.memory_info().rss, **answer})

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the strategies of a module: class name, slug, schema of the parameters, and needs with defaults."""
        code = StrategyRef(*request["code"])
        with _Limit(START_CANDLES * self._candle_s):
            module = self._module(code, [])
            names = [code.attribute] if code.attribute else _strategy_names(module)
            classes = {name: _strategy_class(module, name) for name in names}
            described = [
                (name, code.slug or slug_of(name), cls.parameter_schema(), *_default_needs(cls))
                for name, cls in classes.items()
            ]
        return {"strategies": described}

    def _check(self, request: dict[str, Any]) -> dict[str, Any]:
        """Check that a strategy can be created with a config, and return what it then needs."""
        with _Limit(START_CANDLES * self._candle_s):
            needs = declared_needs(self._strategy(request["strategy"], request["config"], []))
        return {"timeframes": needs.timeframes, "warmup": needs.warmup}

    def _open(self, request: dict[str, Any]) -> dict[str, Any]:
        """Create the strategies of a session."""
        modules: list[str] = []
        stages, runners = [], []
        with _Limit(START_CANDLES * self._candle_s):
            for slug, strategy, config, broker_config, *end in request["stages"]:
                stage = Stage(slug, config, BROKER_CONFIG.validate_python(broker_config), *end)
                stages.append(stage)
                created = None if strategy is None else self._strategy(strategy, config, modules)
                runners.append(None if created is None else StrategyRunner(created, stage.broker_config))
        self._hosted[request["session"]] = HostedStrategy(StrategyChain(stages, runners), modules)
        return {}

    def _warm_up(self, request: dict[str, Any]) -> dict[str, Any]:
        """Call the strategies with slots before the range."""
        hosted = self._hosted[request["session"]]
        started_s = time.monotonic()
        for slot in decode_slots(request["slots"]):
            with _Limit(self._allowed_s(hosted, len(slot.candles))):
                hosted.strategies.warm(slot.candles)
        return {"seconds": time.monotonic() - started_s}

    def _run_slots(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the events of slots; send computed ones early every `FLUSH_S`."""
        hosted = self._hosted[request["session"]]
        waiting: list[list[Event]] = []
        started_s = flushed_s = time.monotonic()
        try:
            for slot in decode_slots(request["slots"]):
                with _Limit(self._allowed_s(hosted, len(slot.candles))):
                    computed = _require_events(hosted.strategies.answer(slot))
                require_small_slot(computed, request["maxBytes"])
                waiting.append(computed)
                if time.monotonic() - flushed_s > FLUSH_S:
                    self._send({"done": False}, waiting)
                    waiting, flushed_s = [], time.monotonic()
        finally:
            self._send({"done": False}, waiting)
        return {"seconds": time.monotonic() - started_s}

    def _run_command(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return what a session's broker makes of a command; no strategy is called."""
        strategies = self._hosted[request["session"]].strategies
        command = Command(request["action"], json.loads(request["args"], parse_float=Decimal))
        self._send({"done": False}, [strategies.run_command(request["ts"], request["number"], command)])
        return {}

    def _snapshot(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a session's state, or null and the problem if there is one."""
        try:
            with _Limit(self._candle_s):
                snapshot = self._hosted[request["session"]].strategies.snapshot()
                return {"snapshot": None if snapshot is None else to_text(snapshot)}
        except (Exception, TimeLimitError) as error:
            return {"snapshot": None, "problem": last_line(error)}

    def _restore(self, request: dict[str, Any]) -> dict[str, Any]:
        """Set new strategies to a snapshot."""
        hosted = self._hosted[request["session"]]
        hosted.started = True
        with _Limit(START_CANDLES * self._candle_s):
            hosted.strategies.restore(from_text(request["snapshot"]))
        return {}

    def _close(self, request: dict[str, Any]) -> dict[str, Any]:
        """Remove a session, and report whether a thread of any session still runs."""
        self._drop(request["session"])
        return {"strayThreads": threading.active_count() > self._own_threads}

    def _drop(self, session: str | None) -> None:
        """Remove a session and the modules that were imported only for it."""
        hosted = self._hosted.pop(session, None) if session else None
        if hosted is not None:
            for name in hosted.modules:
                sys.modules.pop(name, None)
            del hosted
            gc.collect()

    def _allowed_s(self, hosted: HostedStrategy, candles: int) -> float:
        """Return the time limit in seconds for a slot with `candles` candles; the first slot of a session has more."""
        candles = max(1, candles) if hosted.started else START_CANDLES
        hosted.started = True
        return candles * self._candle_s

    def _strategy(self, strategy: dict[str, Any], config: dict[str, Any], modules: list[str]) -> Strategy:
        """Create a strategy; its files must have the hash that the server knows."""
        if "builtIn" in strategy:
            return BUILT_IN[strategy["builtIn"]](**config)
        code = StrategyRef(*strategy["code"])
        cls = _strategy_class(self._module(code, modules), strategy["class"])
        if strategy_files(code).hash != strategy["files"]:
            raise ImportError(f"{code.label} changed while it was imported")
        return cls(**config)

    def _module(self, code: StrategyRef, modules: list[str]) -> ModuleType:
        """Import a module; import a file of a folder again each time, so that sessions share no state."""
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

    def _send(self, header: dict[str, Any], slots: list[list[Event]] | None = None) -> None:
        self._answers.write(frame(encode_answer(header, slots or ())))
        self._answers.flush()


class _Limit:
    """Interrupts the code in the block after `seconds`, if Python can be interrupted there.

    The limit is reached after ten timer ticks, each a tenth of the time, or after as much processor time. While the
    machine or this process is suspended, many ticks arrive as one, so that this time does not count.
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
    def count_tick() -> bool:
        """Count a tick and return whether the time is over."""
        _Limit.ticks_left -= 1
        if _Limit.ticks_left > 0 and time.thread_time() < _Limit.until_s:
            return False
        signal.setitimer(signal.ITIMER_REAL, 0)
        return True


def _require_events(events: list[Event]) -> list[Event]:
    """Return a slot's events; raises `ValueError` or `TypeError` if they cannot be sent."""
    if len(events) > SLOT_EVENTS:
        raise ValueError(f"{len(events)} events in one slot, at most {SLOT_EVENTS} are allowed")
    if not all(isinstance(event, Event) for event in events):
        raise TypeError("the events of the slot contain an object that is not an event")
    return events


def _default_needs(cls: type[Strategy]) -> Needs:
    """Return what a strategy needs with the defaults of its parameters; none if it has required ones or fails."""
    try:
        return declared_needs(cls())
    except Exception:
        return Needs()


def _strategy_names(module: ModuleType) -> Iterator[str]:
    """Yield the names of the strategies that a module itself defines; a class named `_Name` is only a base class."""
    for name, value in vars(module).items():
        if _is_strategy(value) and value.__module__ == module.__name__ and name[0] != "_":
            yield name


def _strategy_class(module: ModuleType, name: str) -> type[Strategy]:
    value = getattr(module, name)
    if not _is_strategy(value):
        raise TypeError(f"{name} is not a subclass of Strategy")
    strategy: type[Strategy] = value
    return strategy


def _is_strategy(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Strategy) and value is not Strategy


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Move the pipes away from stdin and stdout, so that a strategy cannot read or write them by accident."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # What is printed appears at once.
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb")


def _end_with_parent() -> None:
    """End this process when its parent ends, even while a strategy runs; for systems without a signal for that."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def run(candle_ms: int) -> None:
    """Serve the pipes on stdin and stdout until they end; a strategy may take `candle_ms` for a candle."""
    if sys.platform != "linux":
        _end_with_parent()
    requests, answers = _private_pipes()

    def interrupt(_: int, __: FrameType | None) -> None:
        if _Limit.count_tick():
            raise TimeLimitError(f"The strategy took more than {candle_ms} ms for a candle.")

    signal.signal(signal.SIGALRM, interrupt)
    StrategyProcess(answers, candle_ms / 1000).serve(requests)
