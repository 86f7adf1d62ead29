"""Every strategy a session can name: built in, of one's own, or a profile of the table with parameters of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import groupby
from typing import Any, NamedTuple

from app.db import profiles
from app.db.pool import Connection, Database
from app.domain.market.candle import Candle
from app.domain.session import Session, SessionSpec
from app.domain.trading.handover import Stage, StrategyChain
from app.domain.trading.parameters import did_you_mean
from app.domain.trading.strategy import Strategy
from app.domain.trading.strategy_runner import SlotView, StrategyRunner
from app.engine.input_checks import CANDLES_ONLY, require_same_code, warmup
from app.errors import BadInputError
from app.settings import Settings
from app.strategies.registry import BUILT_IN
from app.strategies.versions import rule_hash
from app.strategy_hosts.discovery import SLUG, StrategyDiscovery, UserStrategy
from app.strategy_hosts.process_pool import ProcessPool
from app.strategy_hosts.protocol import BROKER_CONFIG
from app.strategy_hosts.remote_host import RemoteHost
from app.strategy_hosts.strategy_files import LoadProblem
from app.strategy_hosts.strategy_host import InProcessHost, StrategyHost

ResolvedStrategy = type[Strategy] | UserStrategy


class ListedProfile(NamedTuple):
    """A profile as it is listed: slug, JSON schema of its parameters, and where it comes from."""

    slug: str
    parameters: dict[str, Any]
    source: str


class StrategyCatalog:
    """Resolves profiles, and opens the desks of sessions; no process is started before one is needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._children = ProcessPool(settings)
        self._catalog = StrategyDiscovery(settings, self._children)

    @property
    def pids(self) -> list[int]:
        """The child processes alive."""
        return self._children.pids

    @property
    def faults(self) -> list[LoadProblem]:
        """What was named but could not be used when it was last looked at."""
        return self._catalog.faults

    async def look(self) -> int:
        """Find out how many strategies of one's own there are; those that cannot be used are reported."""
        return len(await self._catalog.look())

    async def look_ahead(self) -> None:
        """Look before somebody asks."""
        await self.look()

    @property
    def importing_app(self) -> list[str]:
        """The slugs of user strategies that import from `app`, as was usual before there was `zeon`."""
        return [slug for slug, found in self._catalog.strategies.items() if found.files.imports_app]

    async def every(self, database: Database) -> list[ListedProfile]:
        """List every profile: the built-in ones, those of one's own, those of the table."""
        own = await self._catalog.look()
        found = [ListedProfile(slug, strategy.parameter_schema(), "built-in") for slug, strategy in BUILT_IN.items()]
        found += [ListedProfile(each.slug, each.parameters, each.code.origin) for each in own.values()]
        schemas = {each.slug: each.parameters for each in found}
        for profile in await database.run(profiles.list_all):
            if profile.strategy in schemas and profile.slug not in schemas:
                parameters = _with_defaults(schemas[profile.strategy], profile.config)
                found.append(ListedProfile(profile.slug, parameters, f"profile of {profile.strategy}"))
        return found

    async def full_config(self, database: Database, spec: SessionSpec) -> dict[str, Any]:
        """Return the session's parameters on top of its profile's; raises `BadInputError` naming a wrong one."""
        found, preset = await database.run(self._resolved, spec.profile_slug)
        config = {**preset, **spec.config}
        if isinstance(found, UserStrategy):
            await self._catalog.check(found, config)
        else:
            found(**config)
        return config

    async def add(self, database: Database, profile: profiles.Profile) -> None:
        """Add or replace a profile of the table; raises `BadInputError` when it is none."""
        own = await self._catalog.look()
        if not SLUG.fullmatch(profile.slug):
            raise BadInputError(f"{profile.slug} cannot be a profile: only a-z, 0-9, _ and -, at most 64 of them.")
        if profile.slug in BUILT_IN or profile.slug in own:
            raise BadInputError(f"{profile.slug} is the name of a strategy; call the profile something else.")
        if profile.strategy not in BUILT_IN and profile.strategy not in own:
            known = dict.fromkeys([*BUILT_IN, *own])
            raise BadInputError(
                f"strategy: there is no strategy {profile.strategy!r}{did_you_mean(profile.strategy, known)}"
            )
        if profile.strategy in own:
            await self._catalog.check(own[profile.strategy], profile.config)
        else:
            BUILT_IN[profile.strategy](**profile.config)
        await database.run(profiles.put, profile)

    async def source_hashes(self, connection: Connection, session: Session) -> dict[str, str]:
        """Return the hash that names the code of each of a session's strategies, by the profile's slug.

        Code of one's own is not imported for it. Raises `BadInputError` for one that is not there any more.
        """
        return {slug: source_hash((await self._resolved(connection, slug))[0]) for slug in session.slugs}

    @asynccontextmanager
    async def desk(
        self, database: Database, session: Session, *, alone: bool = False, kept: str | None = None
    ) -> AsyncIterator[StrategyHost | None]:
        """Open the desk of a session, where it was `kept` if that is given, and give it up behind the block."""
        desk = await self._desk(database, session, alone=alone, kept=kept)
        try:
            yield desk
        finally:
            if desk is not None:
                desk.close()

    @asynccontextmanager
    async def trial(self, database: Database, spec: SessionSpec) -> AsyncIterator[StrategyHost | None]:
        """Open the desk of a session that nobody has created, without warm-up, and give it up behind the block."""
        found, _ = await database.run(self._resolved, spec.profile_slug)
        turn = Stage(spec.profile_slug, spec.config, spec.broker_config)
        desk = None if turn.slug == CANDLES_ONLY else await self._opened([turn], {turn.slug: found}, alone=False)
        try:
            yield desk
        finally:
            if desk is not None:
                desk.close()

    async def _desk(
        self, database: Database, session: Session, *, alone: bool, kept: str | None
    ) -> StrategyHost | None:
        """Return the desk of a session before its first slot, warmed up; null where there are candles only.

        With a strategy of one's own it is in a child, with `alone` in one of its own. Raises `StrategyFailedError`,
        `StrategyProcessLostError`, `BadInputError` when a strategy no longer exists, `InputsChangedError` when its
        source changed.
        """
        turns = _turns(session)
        slugs = {turn.slug for turn in turns}
        if slugs == {CANDLES_ONLY}:
            return None
        resolved = {slug: (await database.run(self._resolved, slug))[0] for slug in slugs}
        require_same_code(session, {slug: source_hash(found) for slug, found in resolved.items()})
        desk = await self._opened(turns, resolved, alone=alone)
        try:
            if kept is None:
                await desk.warm(_slots(await database.run(warmup, session.spec)))
            else:
                await desk.restore(kept)
        except BaseException:
            desk.close()
            raise
        return desk

    async def close(self) -> None:
        """End the child processes."""
        await self._children.close()

    async def _opened(
        self, turns: Sequence[Stage], resolved: dict[str, ResolvedStrategy], *, alone: bool
    ) -> StrategyHost:
        """Open a desk before its first slot: in this process, or in a child when a strategy is one's own."""
        own = [found for found in resolved.values() if isinstance(found, UserStrategy)]
        if not own:
            return InProcessHost(StrategyChain(turns, [_trader(turn, resolved[turn.slug]) for turn in turns]))
        files = {path: digest for each in own for path, digest in each.files.digests.items()}
        child = await self._children.child(files, alone=alone)
        desk = RemoteHost(self._children, child, self._settings.candle_timeout_ms / 1000)
        try:
            await desk.open([_spelled(turn, resolved[turn.slug]) for turn in turns])
        except BaseException:
            desk.close()
            raise
        return desk

    async def _resolved(self, connection: Connection, slug: str) -> tuple[ResolvedStrategy, dict[str, Any]]:
        """Return the strategy of a slug and the parameters its profile sets; raises `BadInputError` for none."""
        if slug in BUILT_IN:
            return BUILT_IN[slug], {}
        own = await self._catalog.look()
        if slug in own:
            return own[slug], {}
        profile = await profiles.get(connection, slug)
        strategies: dict[str, ResolvedStrategy] = {**BUILT_IN, **own}
        if profile is not None and profile.strategy not in strategies:
            raise BadInputError(
                f"profileSlug: the strategy {profile.strategy!r} of profile {slug!r} is not there any more"
            )
        if profile is None:
            known = [*strategies, *(each.slug for each in await profiles.list_all(connection))]
            raise BadInputError(f"profileSlug: there is no profile {slug!r}{did_you_mean(slug, dict.fromkeys(known))}")
        return strategies[profile.strategy], profile.config


def source_hash(found: ResolvedStrategy) -> str:
    """Return the hex SHA-256 a session remembers its strategy by: of its source, or of a built-in rule's version."""
    return found.files.hash if isinstance(found, UserStrategy) else rule_hash(_built_in_slug(found))


def _built_in_slug(found: type[Strategy]) -> str:
    return next(slug for slug, strategy in BUILT_IN.items() if strategy is found)


def _turns(session: Session) -> list[Stage]:
    """Return who trades when: one turn per ancestor that left ticks in the log, then the session's own."""
    past = session.past
    specs = [
        replace(session.spec, profile_slug=each.profile_slug, config=each.config, trading=each.trading) for each in past
    ]
    ends = [each.to_cursor_ms for each in past]
    return [
        Stage(spec.profile_slug, spec.config, spec.broker_config, end)
        for spec, end in zip([*specs, session.spec], [*ends, None], strict=True)
    ]


def _trader(turn: Stage, found: ResolvedStrategy) -> StrategyRunner | None:
    if turn.slug == CANDLES_ONLY or isinstance(found, UserStrategy):
        return None
    return StrategyRunner(found(**turn.config), turn.broker_config)


def _spelled(turn: Stage, found: ResolvedStrategy) -> list[Any]:
    """Spell a turn for a child."""
    strategy: dict[str, Any] | None = None
    if isinstance(found, UserStrategy):
        strategy = found.reference
    elif turn.slug != CANDLES_ONLY:
        strategy = {"builtIn": _built_in_slug(found)}
    config = BROKER_CONFIG.dump_python(turn.broker_config, mode="json")
    return [turn.slug, strategy, turn.config, config, turn.to_cursor_ms]


def _slots(candles: Sequence[Candle]) -> list[SlotView]:
    grouped = groupby(candles, key=lambda candle: candle.open_time_ms)
    return [SlotView(open_ms, list(slot), last=False, ts=open_ms) for open_ms, slot in grouped]


def _with_defaults(parameters: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return a schema whose defaults are what a profile sets."""
    properties = {name: dict(each) for name, each in parameters["properties"].items()}
    for name, value in config.items():
        if name in properties:
            properties[name]["default"] = value
    required = [name for name in parameters["required"] if name not in config]
    return {**parameters, "properties": properties, "required": required}
