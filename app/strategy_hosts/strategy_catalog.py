"""Every strategy that a session can name: built-in, user strategy, or stored profile with its own parameters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from app.candles.cache.warmup import read_warmup
from app.db import profiles
from app.db.pool import Connection, Database
from app.domain.market.candle import Candle
from app.domain.session import Session, SessionSpec
from app.domain.trading.handover import Stage, StrategyChain
from app.domain.trading.needs import Needs, declared_needs, meet_needs
from app.domain.trading.parameters import did_you_mean
from app.domain.trading.strategy import Strategy
from app.domain.trading.strategy_runner import SlotView, StrategyRunner
from app.errors import BadInputError, CodeChangedError, ProfileUnknownError
from app.settings import Settings
from app.strategies.registry import BUILT_IN
from app.strategies.versions import rule_hash
from app.strategy_hosts.discovery import SLUG, StrategyDiscovery, UserStrategy
from app.strategy_hosts.local_strategy import LocalStrategy
from app.strategy_hosts.process_pool import ProcessPool, StrategyUsage
from app.strategy_hosts.protocol import BROKER_CONFIG
from app.strategy_hosts.remote_host import RemoteHost
from app.strategy_hosts.strategy_files import LoadProblem
from app.strategy_hosts.strategy_host import InProcessHost, StrategyHost

CANDLES_ONLY = "none"
"""The profile without a strategy."""

ResolvedStrategy = type[Strategy] | UserStrategy | LocalStrategy


class ListedProfile(NamedTuple):
    """A profile in a list: its slug, the JSON schema of its parameters, where it comes from, and what it declares.

    `timeframes` and `warmup` are its needs with the defaults of its parameters, see `Needs`.
    """

    slug: str
    parameters: dict[str, Any]
    source: str
    timeframes: tuple[str, ...] = ()
    warmup: int = 0


class StrategyCatalog:
    """Resolves profiles and opens the strategy hosts of sessions; it starts processes only when needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._processes = ProcessPool(settings)
        self._discovery = StrategyDiscovery(settings, self._processes)
        self._refreshed = False
        self._local: LocalStrategy | None = None

    def run_here(self, local: LocalStrategy | None) -> None:
        """Add a strategy that runs in this process; it takes precedence over user strategies of its name."""
        self._local = local

    @property
    def pids(self) -> list[int]:
        """The pids of the living strategy processes."""
        return self._processes.pids

    @property
    def usage(self) -> StrategyUsage:
        """How much the strategy processes use at the moment."""
        return self._processes.usage

    @property
    def problems(self) -> list[LoadProblem]:
        """The configured strategies that could not be used at the last `refresh`."""
        return self._discovery.problems

    @property
    def known(self) -> list[str] | None:
        """The slugs of the strategies that can be used, built-in ones too; null before the first `refresh`."""
        return sorted({**BUILT_IN, **self._discovery.strategies}) if self._refreshed else None

    async def refresh(self) -> int:
        """Find the user strategies again; return how many can be used, and log the others."""
        found = await self._discovery.refresh()
        self._refreshed = True
        return len(found)

    @property
    def importing_app(self) -> list[str]:
        """The slugs of user strategies that import from `app`, the old name, instead of `zeon`."""
        return [slug for slug, strategy in self._discovery.strategies.items() if strategy.files.imports_app]

    async def list_profiles(self, database: Database) -> list[ListedProfile]:
        """List every profile: built-in strategies, user strategies, stored profiles."""
        own = await self._discovery.refresh()
        listed = [ListedProfile(slug, strategy.parameter_schema(), "built-in") for slug, strategy in BUILT_IN.items()]
        listed += [ListedProfile(user.slug, user.parameters, user.code.origin, *user.needs) for user in own.values()]
        schemas = {profile.slug: profile.parameters for profile in listed}
        strategies: dict[str, ResolvedStrategy] = {**BUILT_IN, **own}
        for stored in await database.run(profiles.list_all):
            if stored.strategy in schemas and stored.slug not in schemas:
                parameters = _with_defaults(schemas[stored.strategy], stored.config)
                needs = await self._needs_of(strategies[stored.strategy], stored.config)
                listed.append(ListedProfile(stored.slug, parameters, f"profile of {stored.strategy}", *needs))
        return listed

    async def _needs_of(self, strategy: ResolvedStrategy, config: dict[str, Any]) -> Needs:
        """Return what a strategy needs with the parameters of a profile; none if they do not fit it."""
        try:
            return await self._checked(strategy, config)
        except BadInputError:
            return Needs()

    async def _checked(self, strategy: ResolvedStrategy, config: dict[str, Any]) -> Needs:
        """Check that a strategy can be created with a config and return what it needs; raises `BadInputError`."""
        if isinstance(strategy, UserStrategy):
            return await self._discovery.check_config(strategy, config)
        return declared_needs(_class_of(strategy)(**config))

    async def completed(self, database: Database, spec: SessionSpec) -> SessionSpec:
        """Return the settings of a new session with all parameters of its profile, and with what the strategy needs.

        Raises `BadInputError` for parameters that the strategy does not have, and for settings that contradict it.
        """
        strategy, preset = await database.run(self._resolve, spec.profile_slug)
        config = {**preset, **spec.config}
        return meet_needs(replace(spec, config=config), await self._checked(strategy, config))

    async def add_profile(self, database: Database, profile: profiles.Profile) -> None:
        """Add or replace a stored profile; raises `BadInputError` for a wrong slug, strategy or config."""
        own = await self._discovery.refresh()
        if not SLUG.fullmatch(profile.slug):
            raise BadInputError(f"{profile.slug} is not a valid slug: use a-z, 0-9, _ and -, at most 64 characters.")
        if profile.slug in BUILT_IN or profile.slug in own:
            raise BadInputError(f"{profile.slug} is the name of a strategy; give the profile another name.")
        strategies: dict[str, ResolvedStrategy] = {**BUILT_IN, **own}
        if profile.strategy not in strategies:
            raise BadInputError(
                f"strategy: there is no strategy {profile.strategy!r}{did_you_mean(profile.strategy, strategies)}"
            )
        await self._checked(strategies[profile.strategy], profile.config)
        await database.run(profiles.put, profile)

    async def source_hashes(self, connection: Connection, session: Session) -> dict[str, str]:
        """Return the hash of the code of each of a session's strategies, by the profile's slug.

        User strategies are not imported for this. Raises `ProfileUnknownError` if one no longer exists.
        """
        return {slug: source_hash((await self._resolve(connection, slug))[0]) for slug in session.slugs}

    @asynccontextmanager
    async def open_host(
        self, database: Database, session: Session, *, own_process: bool = False, snapshot: str | None = None
    ) -> AsyncIterator[StrategyHost | None]:
        """Open the strategy host of a session, at a `snapshot` if one is given, and close it after the block.

        Without a snapshot it is warmed up. Yields null if the session only replays candles. User strategies run in a
        strategy process, with `own_process` in one for this session only. Raises `StrategyFailedError`,
        `StrategyProcessLostError`, `ProfileUnknownError` if a strategy no longer exists, `CodeChangedError`.
        """
        host = await self._open_session(database, session, own_process=own_process, snapshot=snapshot)
        try:
            yield host
        finally:
            if host is not None:
                host.close()

    @asynccontextmanager
    async def open_trial_host(
        self, database: Database, spec: SessionSpec, warmup: Sequence[Sequence[Candle]] = ()
    ) -> AsyncIterator[StrategyHost | None]:
        """Open a strategy host without a session, warmed up on some slots, and close it after the block."""
        strategy, _ = await database.run(self._resolve, spec.profile_slug)
        stage = Stage(spec.profile_slug, spec.config, spec.broker_config)
        host = None
        if stage.slug != CANDLES_ONLY:
            host = await self._create_host([stage], {stage.slug: strategy}, own_process=False)
        try:
            if host is not None:
                await host.warm_up(_views(warmup))
            yield host
        finally:
            if host is not None:
                host.close()

    async def close(self) -> None:
        """End the strategy processes."""
        await self._processes.close()

    async def _open_session(
        self, database: Database, session: Session, *, own_process: bool, snapshot: str | None
    ) -> StrategyHost | None:
        stages = _stages(session)
        slugs = {stage.slug for stage in stages}
        if slugs == {CANDLES_ONLY}:
            return None
        strategies = {slug: (await database.run(self._resolve, slug))[0] for slug in slugs}
        require_same_code(session, {slug: source_hash(strategy) for slug, strategy in strategies.items()})
        host = await self._create_host(stages, strategies, own_process=own_process)
        try:
            if snapshot is None:
                await host.warm_up(_views(await database.run(read_warmup, session.spec)))
            else:
                await host.restore(snapshot)
        except BaseException:
            host.close()
            raise
        return host

    async def _create_host(
        self, stages: Sequence[Stage], strategies: dict[str, ResolvedStrategy], *, own_process: bool
    ) -> StrategyHost:
        """Create a host before its first slot: in this process, or in a strategy process for a user strategy."""
        own = [strategy for strategy in strategies.values() if isinstance(strategy, UserStrategy)]
        if not own:
            runners = [_strategy_runner(stage, strategies[stage.slug]) for stage in stages]
            local = any(isinstance(strategy, LocalStrategy) for strategy in strategies.values())
            return InProcessHost(StrategyChain(stages, runners), self._settings.max_slot_bytes, own=local)
        files = {path: digest for strategy in own for path, digest in strategy.files.digests.items()}
        process = await self._processes.acquire(files, exclusive=own_process)
        host = RemoteHost(self._processes, process, self._settings)
        try:
            await host.open([_stage_message(stage, strategies[stage.slug]) for stage in stages])
        except BaseException:
            host.close()
            raise
        return host

    async def _resolve(self, connection: Connection, slug: str) -> tuple[ResolvedStrategy, dict[str, Any]]:
        """Return the strategy of a slug and the parameters of its profile; raises `ProfileUnknownError`."""
        if slug in BUILT_IN:
            return BUILT_IN[slug], {}
        if self._local is not None and self._local.slug == slug:
            return self._local, {}
        own = await self._discovery.refresh()
        if slug in own:
            return own[slug], {}
        profile = await profiles.get(connection, slug)
        strategies: dict[str, ResolvedStrategy] = {**BUILT_IN, **own}
        if profile is not None and profile.strategy not in strategies:
            raise ProfileUnknownError(
                f"profileSlug: there is no strategy {profile.strategy!r}, of which {slug!r} is a profile"
            )
        if profile is None:
            known = [*strategies, *(stored.slug for stored in await profiles.list_all(connection))]
            raise ProfileUnknownError(
                f"profileSlug: there is no profile {slug!r}{did_you_mean(slug, dict.fromkeys(known))}"
            )
        return strategies[profile.strategy], profile.config


def source_hash(strategy: ResolvedStrategy) -> str:
    """Return the hex SHA-256 that a session stores: of a user strategy's files, or of a built-in rule's version."""
    if isinstance(strategy, LocalStrategy):
        return strategy.code_hash
    return strategy.files.hash if isinstance(strategy, UserStrategy) else rule_hash(_built_in_slug(strategy))


def _class_of(strategy: type[Strategy] | LocalStrategy) -> type[Strategy]:
    return strategy.strategy if isinstance(strategy, LocalStrategy) else strategy


def _built_in_slug(strategy: type[Strategy]) -> str:
    return next(slug for slug, built_in in BUILT_IN.items() if built_in is strategy)


def require_same_code(session: Session, codes: Mapping[str, str]) -> None:
    """Raise `CodeChangedError` if a strategy's code has changed since the session or an ancestor started.

    `codes` has the present hash of each strategy's code, by the profile's slug.
    """
    slug = session.spec.profile_slug
    _require_same_hash(session.strategy_hash, codes.get(slug), "The strategy's code has")
    for ancestor in session.past:
        what = f"The code of strategy {ancestor.profile_slug}, which wrote the log up to seq {ancestor.to_seq}, has"
        _require_same_hash(ancestor.strategy_hash, codes.get(ancestor.profile_slug), what)


def code_changed(session: Session, codes: Mapping[str, str]) -> bool:
    """Whether the code of a session's strategies has changed, see `require_same_code`."""
    try:
        require_same_code(session, codes)
    except CodeChangedError:
        return True
    return False


def _require_same_hash(before: str | None, now: str | None, what: str) -> None:
    if before not in (None, now):
        raise CodeChangedError(f"{what} changed since the session was started.")


def _stages(session: Session) -> list[Stage]:
    """Return the stages of a log: one per ancestor with ticks in it, then the session's own."""
    past = session.past
    specs = [
        replace(session.spec, profile_slug=ancestor.profile_slug, config=ancestor.config, trading=ancestor.trading)
        for ancestor in past
    ]
    ends = [(ancestor.to_cursor_ms, ancestor.to_command) for ancestor in past]
    return [
        Stage(spec.profile_slug, spec.config, spec.broker_config, *end)
        for spec, end in zip([*specs, session.spec], [*ends, (None, None)], strict=True)
    ]


def _strategy_runner(stage: Stage, strategy: ResolvedStrategy) -> StrategyRunner | None:
    if stage.slug == CANDLES_ONLY or isinstance(strategy, UserStrategy):
        return None
    return StrategyRunner(_class_of(strategy)(**stage.config), stage.broker_config)


def _stage_message(stage: Stage, strategy: ResolvedStrategy) -> list[Any]:
    """Return a stage as a message to a strategy process."""
    reference: dict[str, Any] | None = None
    if isinstance(strategy, UserStrategy):
        reference = strategy.reference
    elif stage.slug != CANDLES_ONLY:
        reference = {"builtIn": _built_in_slug(_class_of(strategy))}
    broker_config = BROKER_CONFIG.dump_python(stage.broker_config, mode="json")
    return [stage.slug, reference, stage.config, broker_config, stage.to_cursor_ms, stage.to_command]


def _views(slots: Sequence[Sequence[Candle]]) -> list[SlotView]:
    return [SlotView(slot[0].open_time_ms, slot, last=False, ts=slot[0].open_time_ms) for slot in slots]


def _with_defaults(parameters: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return a schema whose defaults are the parameters of a profile."""
    properties = {name: dict(schema) for name, schema in parameters["properties"].items()}
    for name, value in config.items():
        if name in properties:
            properties[name]["default"] = value
    required = [name for name in parameters["required"] if name not in config]
    return {**parameters, "properties": properties, "required": required}
