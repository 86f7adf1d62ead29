"""`zeon bot-key`: keys with which bots trade in one session, and the addresses of that session for their clients."""

from __future__ import annotations

import json as json_module
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

import typer

from app.cli import output
from app.cli.options import Json, SessionId
from app.cli.run import Context, audit_origin, run
from app.cli.token import read_end
from app.db import tokens
from app.db.tokens import Token
from app.settings import Settings, load
from app.web.exchange.addresses import addresses
from app.web.exchange.bot_keys import DAYS, create_bot_key, revoke_bot_key

app = typer.Typer(
    no_args_is_help=True,
    help="Create, list and revoke the keys of a session with which bots trade in it as in an account at Binance.",
)

Server = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="Address of the server; default: the one of HOST and PORT."),
]
Of = Annotated[
    Literal["all", "ccxt", "freqtrade", "pythonBinance", "binanceConnector"],
    typer.Option("--client", metavar="CLIENT", help="Print only the settings of ccxt, freqtrade, pythonBinance …"),
]
Name = Annotated[str | None, typer.Option(metavar="TEXT", help="Name of the key, free text.")]
Expires = Annotated[
    datetime | None,
    typer.Option(
        "--expires", parser=read_end, metavar="WHEN", help=f"End of the key: 12h, 30d, or a time; default: {DAYS}d."
    ),
]
KeyId = Annotated[UUID, typer.Argument(metavar="KEY", help="The key's id, from `zeon bot-key list`.")]


@app.command()
def create(
    session_id: SessionId, name: Name = None, expires: Expires = None, server: Server = None, client: Of = "all"
) -> None:
    """Create a bot key and print it with the addresses of its session as JSON; it is shown only once."""
    end = expires or datetime.now(UTC) + timedelta(days=DAYS)

    async def work(context: Context) -> tuple[Token, str]:
        session = await context.sim.get(context.user, await context.session_id(session_id))
        return await context.database.run(create_bot_key, audit_origin(), context.user, session, name, end)

    token, key = run(work)
    known = addresses(server or _server(load()), key)
    shown = {"keyId": str(token.id), "key": key, "addresses": known} if client == "all" else known[client]
    output.line(json_module.dumps(shown, indent=2))


@app.command("list")
def list_(session_id: SessionId, json: Json = False) -> None:
    """List the valid bot keys of a session, never the keys themselves."""

    async def work(context: Context) -> list[Token]:
        session = await context.sim.get(context.user, await context.session_id(session_id))
        return await context.database.run(tokens.list_keys, session.id, "bot")

    keys = run(work)
    if json:
        output.as_json([{"keyId": str(key.id), "name": key.name, "expiresAt": _iso(key)} for key in keys])
        return
    output.table(("id", "name", "expires"), [(key.id, key.name, _iso(key)) for key in keys])


@app.command()
def revoke(session_id: SessionId, key_id: KeyId) -> None:
    """Revoke a bot key; its streams end within a heartbeat."""

    async def work(context: Context) -> None:
        session = await context.sim.get(context.user, await context.session_id(session_id))
        await context.database.run(revoke_bot_key, audit_origin(), context.user, session.id, key_id)

    run(work)
    output.line("The bot key is revoked.")


def _iso(key: Token) -> str | None:
    return None if key.expires_at is None else key.expires_at.isoformat()


def _server(settings: Settings) -> str:
    return f"http://{settings.host}:{settings.port}"
