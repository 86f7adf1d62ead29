"""Strategies of one's own: which there are, and what they are called. Their code runs in a child only."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from app.errors import BadInputError, StrategyFailedError, StrategyProcessLostError
from app.settings import Settings
from app.strategies.registry import BUILT_IN
from app.strategy_hosts.process_pool import ProcessHandle, ProcessPool
from app.strategy_hosts.protocol import START_CANDLES
from app.strategy_hosts.remote_host import require_input
from app.strategy_hosts.strategy_files import LoadProblem, StrategyFiles, StrategyRef, find_strategies, strategy_files

SLUG = re.compile(r"[a-z0-9_-]{1,64}")
_log = logging.getLogger(__name__)


class UserStrategy(NamedTuple):
    """A strategy of one's own: its slug, the JSON schema of its parameters, its class, and the code it is in."""

    slug: str
    parameters: dict[str, Any]
    class_name: str
    code: StrategyRef
    files: StrategyFiles

    @property
    def reference(self) -> dict[str, Any]:
        """What a child must know to make one."""
        return {"code": self.code, "class": self.class_name, "files": self.files.hash}


class _Looked(NamedTuple):
    """What was found in a module, or why nothing, when its files were as they are."""

    hash: str
    strategies: list[list[Any]]
    fault: str | None = None


class StrategyDiscovery:
    """Finds and describes strategies of one's own, again whenever their files have changed."""

    def __init__(self, settings: Settings, children: ProcessPool) -> None:
        self._settings = settings
        self._children = children
        self._looked: dict[StrategyRef, _Looked] = {}
        self._told: set[LoadProblem] = set()
        self._looking = asyncio.Lock()
        self._helper: ProcessHandle | None = None
        self.strategies: dict[str, UserStrategy] = {}
        self.faults: list[LoadProblem] = []

    async def look(self) -> Mapping[str, UserStrategy]:
        """Return the strategies there are now, by slug; what cannot be used is in `faults`, and logged once."""
        async with self._looking:
            codes, faults = find_strategies(self._settings.strategies)
            found: dict[str, UserStrategy] = {}
            for code in codes:
                faults += await self._add(code, found)
            self.strategies, self.faults = found, faults
        for fault in faults:
            if fault not in self._told:
                self._told.add(fault)
                _log.warning("strategy %s: %s", fault.label, fault.sentence)
        return self.strategies

    async def check(self, own: UserStrategy, config: dict[str, Any]) -> None:
        """Make sure that a strategy can be made with a config; raises `BadInputError`."""
        try:
            child = await self._hired(own.files)
            require_input(await child.ask({"call": "check", "strategy": own.reference, "config": config}, self._most_s))
        except (StrategyFailedError, StrategyProcessLostError) as error:
            raise BadInputError(f"config: {error}") from None

    async def _add(self, code: StrategyRef, found: dict[str, UserStrategy]) -> list[LoadProblem]:
        """Add the strategies of a module and return what is wrong with it."""
        try:
            current = strategy_files(code)
        except OSError as error:
            return [LoadProblem(code.label, error.strerror or str(error))]
        looked = self._looked.get(code)
        if looked is None or looked.hash != current.hash:
            looked = self._looked[code] = await self._described(code, current)
        faults = [] if looked.fault is None else [LoadProblem(code.label, looked.fault)]
        for class_name, slug, parameters in looked.strategies:
            refusal = _refusal(slug, found)
            if refusal is None:
                found[slug] = UserStrategy(slug, parameters, class_name, code, current)
            else:
                faults.append(LoadProblem(code.label, refusal))
        return faults

    async def _described(self, code: StrategyRef, current: StrategyFiles) -> _Looked:
        try:
            child = await self._hired(current)
            head, _ = await child.ask({"call": "describe", "code": code}, self._most_s)
        except (StrategyFailedError, StrategyProcessLostError) as error:
            return _Looked(current.hash, [], f"It could not be imported: {error}")
        if "failed" in head:
            place = f" ({head['at']})" if head.get("at") else ""
            return _Looked(current.hash, [], f"{head['failed']}{place}")
        return _Looked(current.hash, list(_sound(head)))

    async def _hired(self, current: StrategyFiles) -> ProcessHandle:
        """Return the child that looks at code: one of its own, since looking may break it."""
        if self._helper is not None and (self._helper.gone or not self._helper.fits(current.digests)):
            self._helper.kill()
            self._helper = None
        if self._helper is None:
            self._helper = await self._children.child(current.digests, alone=True)
        self._helper.loaded |= current.digests
        return self._helper

    @property
    def _most_s(self) -> float:
        return 2 * START_CANDLES * self._settings.candle_timeout_ms / 1000


def _sound(head: dict[str, Any]) -> Iterator[list[Any]]:
    """Yield the descriptions in an answer that are what they should be."""
    for each in head.get("strategies", ()):
        match each:
            case [str(), str(), dict()]:
                yield each


def _refusal(slug: str, found: Mapping[str, UserStrategy]) -> str | None:
    """Return why a strategy may not have a slug."""
    if slug in BUILT_IN:
        return f"{slug} is the name of a built-in strategy; call yours something else."
    if slug in found:
        return f"{slug} is the name of the strategy in {found[slug].code.label} already; call yours something else."
    if not SLUG.fullmatch(slug):
        return f"{slug} cannot be a profile: only a-z, 0-9, _ and -, at most 64 of them."
    return None
