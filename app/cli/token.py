"""`zeon token`: tokens with which clients and browsers authenticate when ZEON_AUTH=token."""

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

app = typer.Typer(
    no_args_is_help=True,
    help="Create, list and revoke the tokens that clients and browsers log in with when ZEON_AUTH=token.",
)

User = Annotated[str | None, typer.Option(metavar="USER", help="User of the token; default: ZEON_USER.")]
Name = Annotated[str | None, typer.Option(metavar="TEXT", help="Name of the token, free text.")]
TokenId = Annotated[
    UUID, typer.Argument(metavar="ID", help="The token's id, from `zeon token list`.", show_default=False)
]


@app.command()
def create(user: User = None, name: Name = None, json: Json = False) -> None:
    """Create a token and print it; it is shown only once, because only its hash is stored."""

    async def work(context: Context) -> tuple[Token, str]:
        return await context.database.run(tokens.create, user or context.user, name)

    token, secret = run(work, set_up=True)
    if json:
        output.as_json({**_token_to_json(token), "token": secret})
    else:
        output.note(f"A token for {token.user_id}. Save it now, it is not shown again:")
        output.line(secret)


@app.command("list")
def list_(json: Json = False) -> None:
    """List tokens: id, user, name and times of creation and revocation, never the secrets."""

    async def work(context: Context) -> list[Token]:
        return await context.database.run(tokens.list_all)

    stored = run(work)
    if json:
        output.as_json([_token_to_json(token) for token in stored])
        return
    columns = ("id", "user", "name", "created", "revoked")
    output.table(columns, ((token.id, token.user_id, token.name, *map(_time, token[4:])) for token in stored))


@app.command()
def revoke(token: TokenId) -> None:
    """Revoke a token; streams that were opened with it end within a heartbeat."""

    async def work(context: Context) -> bool:
        return await context.database.run(tokens.revoke, token)

    if not run(work):
        raise NotFoundError("There is no valid token with this id.")
    output.line("The token is revoked.")


def _token_to_json(token: Token) -> dict[str, Any]:
    return {
        "id": str(token.id),
        "userId": token.user_id,
        "name": token.name,
        "createdAt": token.created_at.isoformat(),
        "revokedAt": None if token.revoked_at is None else token.revoked_at.isoformat(),
    }


def _time(moment: datetime | None) -> str:
    return "" if moment is None else output.utc(int(moment.timestamp()) * 1000)
