"""`zeon doctor`: check settings, database and servers."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import typer

from app.cli import output
from app.cli.options import Json
from app.db import health, sessions
from app.db.pool import Database
from app.db.setup.connection_settings import lost_sentence
from app.db.setup.location import DatabaseLocation, is_outdated, open_location, require_database, same_user
from app.errors import NewerDatabaseError, SimError
from app.settings import load, unknown_variables
from app.strategies.registry import BUILT_IN
from app.strategy_hosts.strategy_catalog import StrategyCatalog

OK, WARNING, WRONG = "ok", "warning", "wrong"
MIN_VERSION = 15
SLOW_MS = 100
SKEW_MS = 1000


class HealthCheck(NamedTuple):
    """The result of one check: its name, `ok`, `warning` or `wrong`, a sentence, and the measured value."""

    name: str
    state: str
    text: str
    value: Any = None


def doctor(json: Json = False) -> None:
    """Check settings, database and servers; exit with 1 when something is wrong."""
    checks = examine()
    if json:
        names = ("check", "state", "text", "value")
        output.as_json([dict(zip(names, check, strict=True)) for check in checks])
    else:
        output.table(("check", "state", "text"), (check[:3] for check in checks))
    if any(check.state == WRONG for check in checks):
        raise typer.Exit(1)


def examine() -> list[HealthCheck]:
    """Run the checks in order; a check is left out when one that it needs has failed."""
    try:
        settings = load()
    except SimError as error:
        return [HealthCheck("settings", WRONG, error.message)]
    try:
        require_database(settings)
        with open_location(settings) as location:
            migrations = _migrations(location)
            return [_settings(), *asyncio.run(_on_database(location, migrations))]
    except SimError as error:
        return [_settings(), HealthCheck("database", WRONG, error.message)]


def _settings() -> HealthCheck:
    unknown = unknown_variables()
    if unknown:
        verb = "is not a setting" if len(unknown) == 1 else "are not settings"
        return HealthCheck(
            "settings", WARNING, f"{', '.join(unknown)} {verb}; see docs/operating/settings.md.", unknown
        )
    return HealthCheck("settings", OK, "Every ZEON_ variable is a setting.", unknown)


async def _on_database(location: DatabaseLocation, migrations: HealthCheck) -> list[HealthCheck]:
    database = Database(location.url, size=2, application_name="zeon doctor")
    await database.open()
    try:
        checks = [await _version(database), migrations]
        if migrations.state == OK:
            checks += [await _connections(location), await _notifications(database, location)]
            checks.append(await _rights(database, location))
            more = (_clock, _servers, _orphans, _half_deleted)
            checks += [await check(database) for check in more]
            checks.append(await _strategies())
        return checks
    finally:
        await database.close()


def _migrations(location: DatabaseLocation) -> HealthCheck:
    name = "migrations"
    try:
        if is_outdated(location):
            return HealthCheck(name, WRONG, "The database is empty or older than this version; run `zeon migrate`.")
    except NewerDatabaseError as error:
        return HealthCheck(name, WRONG, error.message, error.details)
    return HealthCheck(name, OK, "Everything is installed.")


async def _version(database: Database) -> HealthCheck:
    number = await database.run(health.version)
    text = f"Postgres {number // 10_000}.{number % 10_000} answers."
    if number // 10_000 < MIN_VERSION:
        return HealthCheck("database", WRONG, f"{text} It must be {MIN_VERSION} or newer.", number)
    return HealthCheck("database", OK, text, number)


async def _connections(location: DatabaseLocation) -> HealthCheck:
    """Compare the settings of a connection with those that a server asks for."""
    lost = await health.lost_settings(location.url)
    if lost:
        return HealthCheck("connections", WARNING, lost_sentence(lost), lost)
    return HealthCheck("connections", OK, "The settings of a server's connections reach Postgres.", lost)


async def _notifications(database: Database, location: DatabaseLocation) -> HealthCheck:
    name = "notifications"
    took_ms = await health.round_trip_ms(database, location.listen_url)
    if took_ms is None:
        advice = "behind PgBouncer, set ZEON_LISTEN_URL to a direct address"
        return HealthCheck(name, WRONG, f"Notifications do not arrive, so clients wait for the next poll; {advice}.")
    return HealthCheck(
        name, OK if took_ms < SLOW_MS else WARNING, f"Notifications take {took_ms:.1f} ms.", round(took_ms, 3)
    )


async def _rights(database: Database, location: DatabaseLocation) -> HealthCheck:
    name, rights = "rights", await database.run(health.event_rights)
    value, missing, more = sorted(rights), sorted({"SELECT", "INSERT"} - rights), sorted(rights - {"SELECT", "INSERT"})
    if missing:
        return HealthCheck(name, WRONG, f"The serving role lacks {', '.join(missing)} on sim_events.", value)
    if not more:
        return HealthCheck(name, OK, "The serving role can only insert and read events.", value)
    text = f"The serving role also has {', '.join(more)} on sim_events"
    if not same_user(location):
        return HealthCheck(name, WRONG, f"{text}; it must be neither the owner of the table nor a superuser.", value)
    return HealthCheck(
        name, WARNING, f"{text}, because one role does everything; to use two roles, set ZEON_MIGRATE_URL.", value
    )


async def _clock(database: Database) -> HealthCheck:
    skew_ms = await database.run(health.skew_ms)
    where = "ahead of" if skew_ms > 0 else "behind"
    text = f"The database's clock is {abs(skew_ms):,.1f} ms {where} this machine's."
    return HealthCheck("clock", OK if abs(skew_ms) < SKEW_MS else WARNING, text, round(skew_ms, 3))


async def _servers(database: Database) -> HealthCheck:
    runners = await database.run(health.list_runners)
    value = [runner._asdict() for runner in runners]
    living = [runner for runner in runners if runner.alive]
    if not living:
        return HealthCheck(
            "servers", WARNING, "No server is alive, so no session can run; start one with `zeon serve`.", value
        )
    text = f"{len(living)} alive: {'; '.join(map(_server_text, living))}."
    if len({_user_strategies(runner) for runner in living}) > 1:
        text += " They know different user strategies, and a session runs only where its own is known."
        return HealthCheck("servers", WARNING, text, value)
    return HealthCheck("servers", OK, text, value)


def _server_text(runner: health.RunnerInfo) -> str:
    known = _user_strategies(runner)
    knows = f" and knows {', '.join(known)}" if known else ""
    return f"{runner.name} runs {runner.running}{knows}"


def _user_strategies(runner: health.RunnerInfo) -> tuple[str, ...]:
    return tuple(slug for slug in runner.strategies or () if slug not in BUILT_IN)


async def _orphans(database: Database) -> HealthCheck:
    count = await database.run(health.orphans)
    if count:
        text = f"{count} sessions are marked running but no live server owns them; starting a server recovers them."
        return HealthCheck("orphans", WRONG, text, count)
    return HealthCheck("orphans", OK, "Every session marked running has a live server.", count)


async def _strategies() -> HealthCheck:
    """Load the user strategies of `ZEON_STRATEGIES`."""
    try:
        strategies = StrategyCatalog(load())
    except SimError as error:
        return HealthCheck("strategies", WRONG, error.message)
    try:
        count = await strategies.refresh()
    finally:
        await strategies.close()
    if strategies.problems:
        value = [problem._asdict() for problem in strategies.problems]
        text = "; ".join(f"{problem.label}: {problem.sentence}" for problem in strategies.problems)
        return HealthCheck("strategies", WARNING, text, value)
    return HealthCheck(
        "strategies", OK, f"All {count} user strategies load." if count else "No user strategies are configured.", count
    )


async def _half_deleted(database: Database) -> HealthCheck:
    count = len(await database.run(sessions.half_deleted))
    if count:
        return HealthCheck(
            "deletions", WARNING, f"{count} sessions are half deleted; a live server deletes the rest.", count
        )
    return HealthCheck("deletions", OK, "No session is half deleted.", count)
