"""`zeon token`: what clients and browsers prove themselves with when ZEON_AUTH=token."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from app.cli import output
from app.cli.command import Context, run
from app.cli.options import Json
from app.db import tokens
from app.db.tokens import Token
from app.errors import NotFoundError

app = typer.Typer(no_args_is_help=True, help="Tokens that clients and browsers log in with when ZEON_AUTH=token.")

User = Annotated[str | None, typer.Option(metavar="USER", help="Whom the token speaks for; unset: ZEON_USER.")]
Name = Annotated[str | None, typer.Option(metavar="TEXT", help="Where it is used, to tell it from others.")]
TokenId = Annotated[
    UUID, typer.Argument(metavar="ID", help="The token's id, from `zeon token list`.", show_default=False)
]


@app.command()
def create(user: User = None, name: Name = None, json: Json = False) -> None:
    """Make a token and print it, this once: only its hash is stored."""

    async def work(context: Context) -> tuple[Token, str]:
        return await context.database.run(tokens.create, user or context.user, name)

    token, secret = run(work, set_up=True)
    if json:
        output.as_json({**_described(token), "token": secret})
    else:
        output.note(f"A token for {token.user_id}; keep it, it is not shown again:")
        output.line(secret)


@app.command("list")
def list_(json: Json = False) -> None:
    """Show whose tokens there are and which are revoked, never the tokens themselves."""

    async def work(context: Context) -> list[Token]:
        return await context.database.run(tokens.list_all)

    found = run(work)
    if json:
        output.as_json([_described(each) for each in found])
        return
    columns = ("id", "user", "name", "created", "revoked")
    output.table(columns, ((each.id, each.user_id, each.name, *map(_time, each[4:])) for each in found))


@app.command()
def revoke(token: TokenId) -> None:
    """Make a token worthless; streams opened with it end within a heartbeat."""

    async def work(context: Context) -> bool:
        return await context.database.run(tokens.revoke, token)

    if not run(work):
        raise NotFoundError("There is no valid token with this id.")
    output.line("The token is revoked.")


def _described(token: Token) -> dict[str, Any]:
    return {
        "id": str(token.id),
        "userId": token.user_id,
        "name": token.name,
        "createdAt": token.created_at.isoformat(),
        "revokedAt": None if token.revoked_at is None else token.revoked_at.isoformat(),
    }


def _time(moment: datetime | None) -> str:
    return "" if moment is None else output.utc(int(moment.timestamp()) * 1000)
