"""Bot keys: with one a bot trades in one session as if that were an account at an exchange."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from app.db import audit, tokens
from app.db.audit import AuditOrigin
from app.db.pool import Connection
from app.db.tokens import Token
from app.domain.session import Session
from app.engine.session_service import SessionService
from app.errors import NotFoundError, WrongStatusError
from app.web.exchange.addresses import addresses
from app.web.http.models import Answer, Body, EmptyAnswer
from app.web.http.request_id import audit_origin
from app.web.http.responses import success
from app.web.http.route_spec import SESSION, Call, RouteGroup, RouteSpec
from app.web.sim.sharing import Lifetime

_MAX_KEYS = 100
"""Most valid bot keys of one session."""
DAYS = 30
"""How many days a key is valid if nothing is said."""


class NewBotKey(Body):
    """A bot key to create. `expiresIn` is in seconds, or a text such as `12h` or `7d`."""

    expires_in: Lifetime = DAYS * 86_400
    name: Annotated[str, Field(max_length=200)] | None = None


class BotAddresses(Answer):
    """The addresses of a session for clients of Binance spot, and the settings of each client that has them all."""

    rest: str
    streams: str
    combined_streams: str
    ws_api: str
    ccxt: dict[str, Any]
    freqtrade: dict[str, Any]
    python_binance: dict[str, dict[str, str]]
    binance_connector: dict[str, str]

    @classmethod
    def of(cls, server: str, key: str) -> Self:
        """Return the addresses at a server."""
        return cls.model_validate(addresses(server, key))


class NewBotKeyAnswer(Answer):
    """A new bot key. The key is part of each address; it is not shown again."""

    key_id: UUID
    key: str
    expires_at_ms: int
    addresses: BotAddresses


class BotKeyAnswer(Answer):
    """A bot key that is valid, without the key itself."""

    key_id: UUID
    name: str | None
    created_at_ms: int
    expires_at_ms: int | None


class BotKeysAnswer(Answer):
    """The valid bot keys of a session, oldest first."""

    keys: list[BotKeyAnswer]


class BotKeyCalls(RouteGroup):
    """The calls under `/api/sim/sessions/{id}/bot-key`."""

    tag = "sessions"

    def __init__(self, sim: SessionService) -> None:
        self._sim = sim

    def routes(self) -> list[RouteSpec]:
        """Return the routes of these calls."""
        path = f"{SESSION}/bot-key"
        return [
            RouteSpec(
                "POST", path, self.create_key, "createBotKey", body=NewBotKey, answer=NewBotKeyAnswer, status=201,
                example={"expiresIn": "30d"},
            ),
            RouteSpec("GET", path, self.keys, "listBotKeys", answer=BotKeysAnswer, scope="read"),
            RouteSpec("DELETE", f"{path}/{{keyId}}", self.revoke_key, "deleteBotKey", answer=EmptyAnswer),
        ]  # fmt: skip

    async def create_key(self, call: Call, body: NewBotKey) -> Response:
        """Create a key with which a bot trades in this session, as in an account at Binance, until the key ends."""
        end = datetime.now(UTC) + timedelta(seconds=body.expires_in)
        origin = audit_origin(call.request)
        made = await self._sim.database.run(create_bot_key, origin, call.user_id, call.session, body.name, end)
        server = BotAddresses.of(str(call.request.base_url), made[1])
        answer = NewBotKeyAnswer(key_id=made[0].id, key=made[1], expires_at_ms=_ms(end), addresses=server)
        return success(answer, 201)

    async def keys(self, call: Call) -> Response:
        """List the valid bot keys of a session."""
        keys = await self._sim.database.run(tokens.list_keys, call.session.id, "bot")
        return success(BotKeysAnswer(keys=list(map(_answer, keys))))

    async def revoke_key(self, call: Call) -> Response:
        """Revoke a bot key; streams that were opened with it end within a heartbeat."""
        try:
            key_id = UUID(call.request.path_params["keyId"])
        except ValueError:
            raise NotFoundError("There is no such bot key.") from None
        origin = audit_origin(call.request)
        await self._sim.database.run(revoke_bot_key, origin, call.user_id, call.session.id, key_id)
        return success(EmptyAnswer())


async def create_bot_key(
    connection: Connection, origin: AuditOrigin, user_id: str, session: Session, name: str | None, end: datetime
) -> tuple[Token, str]:
    """Create a bot key of a session; return the stored row and the key. Raises `WrongStatusError` for too many."""
    if len(await tokens.list_keys(connection, session.id, "bot")) >= _MAX_KEYS:
        raise WrongStatusError(f"This session has {_MAX_KEYS} bot keys already; revoke one first.")
    async with connection.transaction():
        created = await tokens.create(connection, user_id, name, kind="bot", session_id=session.id, expires_at=end)
        details = {"keyId": str(created[0].id), "expiresAt": end.isoformat()}
        await audit.record(connection, origin, user_id, "bot-key.create", session.id, details)
    return created


async def revoke_bot_key(
    connection: Connection, origin: AuditOrigin, user_id: str, session_id: UUID, key_id: UUID
) -> None:
    """Revoke a bot key of a session; raises `NotFoundError`."""
    async with connection.transaction():
        if await tokens.revoke(connection, key_id, session_id=session_id, kind="bot") is None:
            raise NotFoundError("There is no such bot key.")
        await audit.record(connection, origin, user_id, "bot-key.revoke", session_id, {"keyId": str(key_id)})


def _answer(key: Token) -> BotKeyAnswer:
    end_ms = None if key.expires_at is None else _ms(key.expires_at)
    return BotKeyAnswer(key_id=key.id, name=key.name, created_at_ms=_ms(key.created_at), expires_at_ms=end_ms)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
