"""`zeon profiles`: list the strategies and profiles that sessions can use; add and remove profiles."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli import output
from app.cli.options import Json, as_usage
from app.cli.run import Context, run
from app.cli.sessions.setting_options import merged, parse_config
from app.db import profiles
from app.db.profiles import Profile
from app.domain.trading.slug import slug_of
from app.errors import NotFoundError
from app.strategy_hosts.strategy_catalog import ListedProfile

app = typer.Typer(
    help="List the strategies that sessions can use; add and remove profiles (a strategy with parameters)."
)

Slug = Annotated[str, typer.Argument(metavar="SLUG", help="a-z, 0-9, _ and -, at most 64.", show_default=False)]
Named = Annotated[str, typer.Option("--strategy", metavar="SLUG", help="Strategy of the profile, see `zeon profiles`.")]
Config = Annotated[
    list[str] | None,
    typer.Option(
        "--config",
        parser=parse_config,
        metavar="JSON",
        help="Parameters as a JSON object, or NAME=VALUE, repeated for more; a session can override them.",
    ),
]
_EXAMPLE = "`from zeon import Candle, Strategy`"


@app.callback(invoke_without_command=True)
def profiles_(context: typer.Context, json: Json = False) -> None:
    """List the strategies and profiles a session can use; `none` replays candles only."""
    if context.invoked_subcommand is None:
        list_(json)


@app.command("list")
def list_(json: Json = False) -> None:
    """List the strategies and profiles a session can use; stderr names those that cannot be loaded."""

    async def work(context: Context) -> tuple[list[ListedProfile], list[str]]:
        strategies = context.sim.strategies
        return await strategies.list_profiles(context.database), strategies.importing_app

    listed, importing_app = run(work)
    if importing_app:
        output.note(f"{', '.join(importing_app)}: import from `zeon` instead of `app`, as in {_EXAMPLE}; both work.")
    if json:
        output.as_json([profile._asdict() for profile in listed])
    else:
        output.table(("profile", "parameters", "needs", "source"), map(_row, listed))


@app.command()
def add(slug: Slug, strategy: Named, config: Config = None) -> None:
    """Add a profile, or replace the one with this name."""
    profile = Profile(slug, slug_of(strategy), merged(config) or {})

    async def work(context: Context) -> None:
        await context.sim.strategies.add_profile(context.database, profile)

    with as_usage():
        run(work, set_up=True)


@app.command()
def remove(slug: Slug) -> None:
    """Remove a profile; sessions that use it can no longer be resumed."""

    async def work(context: Context) -> None:
        if not await context.database.run(profiles.remove, slug):
            raise NotFoundError(f"There is no stored profile {slug}; built-in strategies cannot be removed.")

    run(work)


def _row(profile: ListedProfile) -> tuple[str, ...]:
    warmup = [f"{profile.warmup} candles before"] if profile.warmup else []
    parameters = profile.parameters.get("properties", {})
    return profile.slug, ", ".join(parameters), ", ".join([*profile.timeframes, *warmup]), profile.source
