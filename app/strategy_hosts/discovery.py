"""Find user strategies and describe them. Their code runs only in a strategy process."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from app.domain.trading.needs import Needs, parse_needs
from app.errors import BadInputError, StrategyFailedError, StrategyProcessLostError
from app.settings import Settings
from app.strategies.registry import BUILT_IN
from app.strategy_hosts.process_pool import ProcessHandle, ProcessPool
from app.strategy_hosts.protocol import START_CANDLES
from app.strategy_hosts.remote_host import require_valid_config
from app.strategy_hosts.strategy_files import LoadProblem, StrategyFiles, StrategyRef, find_strategies, strategy_files

SLUG = re.compile(r"[a-z0-9_-]{1,64}")
_log = logging.getLogger(__name__)


class UserStrategy(NamedTuple):
    """A user strategy: its slug, the JSON schema of its parameters, its class, and the code it is in.

    `needs` are those with the defaults of its parameters.
    """

    slug: str
    parameters: dict[str, Any]
    needs: Needs
    class_name: str
    code: StrategyRef
    files: StrategyFiles

    @property
    def reference(self) -> dict[str, Any]:
        """What a strategy process needs to create the strategy."""
        return {"code": self.code, "class": self.class_name, "files": self.files.hash}


class _ModuleInfo(NamedTuple):
    """The strategies of a module (class, slug, parameters, needs), or its problem, for one version of its files."""

    hash: str
    strategies: list[tuple[str, str, dict[str, Any], Needs]]
    problem: str | None = None


class StrategyDiscovery:
    """Finds and describes user strategies, again whenever their files have changed."""

    def __init__(self, settings: Settings, processes: ProcessPool) -> None:
        self._settings = settings
        self._processes = processes
        self._modules: dict[StrategyRef, _ModuleInfo] = {}
        self._logged: set[LoadProblem] = set()
        self._refreshing = asyncio.Lock()
        self._probe: ProcessHandle | None = None
        self.strategies: dict[str, UserStrategy] = {}
        self.problems: list[LoadProblem] = []

    async def refresh(self) -> Mapping[str, UserStrategy]:
        """Return the present strategies by slug; those that cannot be used are in `problems`, and logged once."""
        async with self._refreshing:
            codes, problems = find_strategies(self._settings.strategies)
            strategies: dict[str, UserStrategy] = {}
            for code in codes:
                problems += await self._add(code, strategies)
            self.strategies, self.problems = strategies, problems
        for problem in problems:
            if problem not in self._logged:
                self._logged.add(problem)
                _log.warning("strategy %s: %s", problem.label, problem.sentence)
        return self.strategies

    async def check_config(self, strategy: UserStrategy, config: dict[str, Any]) -> Needs:
        """Check that a strategy can be created with a config and return what it needs; raises `BadInputError`."""
        request = {"call": "check", "strategy": strategy.reference, "config": config}
        try:
            process = await self._probe_process(strategy.files)
            answer = await process.send(request, self._max_s)
            require_valid_config(answer)
        except (StrategyFailedError, StrategyProcessLostError) as error:
            raise BadInputError(f"config: {error}") from None
        return parse_needs(strategy.class_name, answer[0].get("timeframes"), answer[0].get("warmup"))

    async def _add(self, code: StrategyRef, strategies: dict[str, UserStrategy]) -> list[LoadProblem]:
        """Add the strategies of a module; return its problems."""
        try:
            files = strategy_files(code)
        except OSError as error:
            return [LoadProblem(code.label, error.strerror or str(error))]
        info = self._modules.get(code)
        if info is None or info.hash != files.hash:
            info = self._modules[code] = await self._describe(code, files)
        problems = [] if info.problem is None else [LoadProblem(code.label, info.problem)]
        for class_name, slug, parameters, needs in info.strategies:
            problem = _slug_problem(slug, strategies)
            if problem is None:
                strategies[slug] = UserStrategy(slug, parameters, needs, class_name, code, files)
            else:
                problems.append(LoadProblem(code.label, problem))
        return problems

    async def _describe(self, code: StrategyRef, files: StrategyFiles) -> _ModuleInfo:
        try:
            process = await self._probe_process(files)
            header, _ = await process.send({"call": "describe", "code": code}, self._max_s)
        except (StrategyFailedError, StrategyProcessLostError) as error:
            return _ModuleInfo(files.hash, [], f"It could not be imported: {error}")
        if "failed" in header:
            position = f" ({header['at']})" if header.get("at") else ""
            return _ModuleInfo(files.hash, [], f"{header['failed']}{position}")
        return _ModuleInfo(files.hash, list(_valid_descriptions(header)))

    async def _probe_process(self, files: StrategyFiles) -> ProcessHandle:
        """Return the process that imports code to describe it; it runs no sessions, because the code may break it."""
        if self._probe is not None and (self._probe.dead or not self._probe.fits(files.digests)):
            self._probe.kill()
            self._probe = None
        if self._probe is None:
            self._probe = await self._processes.acquire(files.digests, exclusive=True)
        self._probe.loaded |= files.digests
        return self._probe

    @property
    def _max_s(self) -> float:
        return 2 * START_CANDLES * self._settings.candle_timeout_ms / 1000


def _valid_descriptions(header: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], Needs]]:
    """Yield the descriptions in an answer that have the right shape."""
    for description in header.get("strategies", ()):
        match description:
            case [str(name), str(slug), dict(parameters), timeframes, warmup]:
                yield name, slug, parameters, parse_needs(name, timeframes, warmup)


def _slug_problem(slug: str, strategies: Mapping[str, UserStrategy]) -> str | None:
    """Return why a strategy may not have a slug, or null."""
    if slug in BUILT_IN:
        return f"{slug} is the name of a built-in strategy; rename yours."
    if slug in strategies:
        return f"{slug} is already the name of the strategy in {strategies[slug].code.label}; rename yours."
    if not SLUG.fullmatch(slug):
        return f"{slug} is not a valid slug: use a-z, 0-9, _ and -, at most 64 characters."
    return None
