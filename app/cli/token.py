"""`zeon token`: tokens with which clients and browsers authenticate when ZEON_AUTH has `token`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import typer

from app.cli import output
from app.cli.options import Json, time_ms
from app.cli.run import Context, audit_origin, run
from app.db import audit, tokens
from app.db.pool import Connection
from app.db.tokens import Scope, Token
from app.domain.duration import parse_duration
from app.errors import BadInputError, NotFoundError

app = typer.Typer(
    no_args_is_help=True,
    help="Create, list and revoke the tokens that clients and browsers log in with when ZEON_AUTH has token.",
)


_REVOKED: dict[tokens.Kind, audit.Action] = {
    "token": "token.revoke",
    "share": "share.revoke",
    "bot": "bot-key.revoke",
}


def read_end(text: str) -> datetime:
    """Parse an end: a duration from now on such as 30d, or a time."""
    try:
        return datetime.now(UTC) + timedelta(seconds=parse_duration(text))
    except BadInputError:
        pass
    except OverflowError:
        raise typer.BadParameter(f"{text[:60]!r} is too far away") from None
    try:
        end = datetime.fromtimestamp(time_ms(text) / 1000, UTC)
    except typer.BadParameter:
        raise typer.BadParameter(f"{text[:60]!r} is neither a duration such as 30d nor a time") from None
    except (OverflowError, ValueError, OSError):
        raise typer.BadParameter(f"{text[:60]!r} is too far away") from None
    if end <= datetime.now(UTC):
        raise typer.BadParameter(f"{text[:60]!r} has passed")
    return end


User = Annotated[str | None, typer.Option(metavar="USER", help="User of the token; default: ZEON_USER.")]
Name = Annotated[str | None, typer.Option(metavar="TEXT", help="Name of the token, free text.")]
ScopeOption = Annotated[
    Scope, typer.Option("--scope", help="read: calls that change nothing; trade: every call of the user.")
]
Expires = Annotated[
    datetime | None,
    typer.Option(
        "--expires", parser=read_end, metavar="WHEN", help="End of the token: 12h, 30d, or a time; default: no end."
    ),
]
TokenId = Annotated[
    UUID, typer.Argument(metavar="ID", help="The token's id, from `zeon token list`.", show_default=False)
]


@app.command()
def create(
    user: User = None, name: Name = None, scope: ScopeOption = "trade", expires: Expires = None, json: Json = False
) -> None:
    """Create a token and print it; it is shown only once, because only its hash is stored."""

    async def work(context: Context) -> tuple[Token, str]:
        return await context.database.run(_create, context.user, user or context.user, name, scope, expires)

    token, secret = run(work, set_up=True)
    if json:
        output.as_json({**_token_to_json(token), "token": secret})
    else:
        end = "" if token.expires_at is None else f", until {_time(token.expires_at)}"
        output.note(f"A token for {token.user_id}, scope {token.scope}{end}. Save it now, it is not shown again:")
        output.line(secret)


@app.command("list")
def list_(json: Json = False) -> None:
    """List tokens and the keys of share links and bots: id, user, name, kind, scope and times, never the secrets."""

    async def work(context: Context) -> list[Token]:
        return await context.database.run(tokens.list_all)

    stored = run(work)
    if json:
        output.as_json([_token_to_json(token) for token in stored])
        return
    columns = ("id", "user", "name", "kind", "scope", "session", "created", "expires", "revoked")
    output.table(columns, map(_row, stored), none="There are no tokens and no share links.")


@app.command()
def revoke(token: TokenId) -> None:
    """Revoke a token or the key of a share link or bot; its streams, exports and logins end within a heartbeat."""

    async def work(context: Context) -> bool:
        return await context.database.run(_revoke, context.user, token)

    if not run(work):
        raise NotFoundError("There is no valid token with this id.")
    output.line("The token is revoked.")


async def _create(
    connection: Connection, by: str, user_id: str, name: str | None, scope: Scope, end: datetime | None
) -> tuple[Token, str]:
    async with connection.transaction():
        token, secret = await tokens.create(connection, user_id, name, scope=scope, expires_at=end)
        details = {"user": user_id, "name": name, "scope": scope, "expiresAt": _iso(end)}
        await audit.record(connection, audit_origin(), by, "token.create", token.id, details)
    return token, secret


async def _revoke(connection: Connection, by: str, token_id: UUID) -> bool:
    async with connection.transaction():
        token = await tokens.revoke(connection, token_id)
        if token is None:
            return False
        await audit.record(connection, audit_origin(), by, _REVOKED[token.kind], token_id, {"user": token.user_id})
    return True


def _row(token: Token) -> tuple[object, ...]:
    times = (token.created_at, token.expires_at, token.revoked_at)
    return token.id, token.user_id, token.name, token.kind, token.scope, token.session_id, *map(_time, times)


def _token_to_json(token: Token) -> dict[str, Any]:
    return {
        "id": str(token.id),
        "userId": token.user_id,
        "name": token.name,
        "kind": token.kind,
        "scope": token.scope,
        "sessionId": None if token.session_id is None else str(token.session_id),
        "createdAt": _iso(token.created_at),
        "expiresAt": _iso(token.expires_at),
        "revokedAt": _iso(token.revoked_at),
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _time(moment: datetime | None) -> str:
    return "" if moment is None else output.utc(int(moment.timestamp()) * 1000)
