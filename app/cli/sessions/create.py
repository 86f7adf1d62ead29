"""`zeon sessions create`: the same request as over HTTP, its fields as options."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.options import Json, as_usage
from app.cli.run import Context, run
from app.cli.sessions import session_view
from app.cli.sessions.setting_options import NEW_SESSION, Given, takes_settings
from app.domain.session import Session
from app.strategy_hosts.strategy_catalog import CANDLES_ONLY
from app.web.http.parsing import fingerprint, parse
from app.web.sim.requests import NewSession

Key = Annotated[
    str | None, typer.Option(metavar="KEY", help="Idempotency key: with a key used before, return its session.")
]


@takes_settings(NEW_SESSION, required=["symbols", "timeframe", "start_ms"], defaults={"profile_slug": CANDLES_ONLY})
def create(settings: Given, key: Key = None, json: Json = False) -> None:
    """Create a session, ready to start; without --end it follows the market until it is stopped."""
    with as_usage():
        request = parse(NewSession, settings)

    async def work(context: Context) -> Session:
        spec = request.spec(context.settings)
        return (await context.sim.create(context.user, spec, key=key, request_hash=fingerprint(settings)))[0]

    with as_usage():
        session = run(work, set_up=True)
    session_view.print_session(session, json)
