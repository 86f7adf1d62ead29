"""Share links over HTTP: keys with which others may read one session until the link ends or is revoked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, Field
from starlette.responses import Response

from app.db import audit, tokens
from app.db.pool import Connection
from app.db.tokens import Token
from app.domain.duration import parse_duration
from app.domain.setting import UnusableValueError
from app.engine.session_service import SessionService
from app.errors import BadInputError, NotFoundError, WrongStatusError
from app.web.http.auth import SHARE
from app.web.http.models import Answer, Body, EmptyAnswer
from app.web.http.request_id import audit_origin
from app.web.http.responses import success
from app.web.http.route_spec import SESSION, Call, RouteGroup, RouteSpec

_MAX_LINKS = 100
"""Most valid links of one session."""
_DAY_S = 86_400


_SHORTEST_S, _LONGEST_S = 60, 366 * _DAY_S


def _seconds(value: Any) -> Any:
    """Read a duration: seconds, or a text such as `7d`."""
    if not isinstance(value, str):
        return value
    try:
        seconds = parse_duration(value)
    except BadInputError as error:
        raise ValueError(error.message) from None
    if not _SHORTEST_S <= seconds <= _LONGEST_S:
        raise UnusableValueError("must be from 60 seconds to 366 days")
    return seconds


_Seconds = Annotated[int, Field(ge=_SHORTEST_S, le=_LONGEST_S)]
_Text = Annotated[str, Field(pattern="^[1-9][0-9]{0,8}[smhdw]$", examples=["7d"])]
Lifetime = Annotated[_Seconds, BeforeValidator(_seconds, json_schema_input_type=_Seconds | _Text)]


class NewShare(Body):
    """A link to create. `expiresIn` is in seconds, or a text such as `12h` or `7d`."""

    expires_in: Lifetime = 7 * _DAY_S
    name: Annotated[str, Field(max_length=200)] | None = None


class NewShareAnswer(Answer):
    """A new link. Its URL holds the key, which is not shown again."""

    key_id: UUID
    url: str
    expires_at_ms: int


class ShareAnswer(Answer):
    """A link that is valid, without its key."""

    key_id: UUID
    name: str | None
    created_at_ms: int
    expires_at_ms: int | None


class SharesAnswer(Answer):
    """The valid links of a session, oldest first."""

    links: list[ShareAnswer]


class ShareCalls(RouteGroup):
    """The calls under `/api/sim/sessions/{id}/share`."""

    tag = "sessions"

    def __init__(self, sim: SessionService) -> None:
        self._sim = sim

    def routes(self) -> list[RouteSpec]:
        """Return the routes of these calls."""
        path = f"{SESSION}/share"
        return [
            RouteSpec(
                "POST", path, self.share, "shareSession", body=NewShare, answer=NewShareAnswer, status=201,
                example={"expiresIn": "7d"},
            ),
            RouteSpec("GET", path, self.shares, "listShares", answer=SharesAnswer, scope="read"),
            RouteSpec("DELETE", f"{path}/{{keyId}}", self.unshare, "deleteShare", answer=EmptyAnswer),
        ]  # fmt: skip

    async def share(self, call: Call, body: NewShare) -> Response:
        """Create a link with which anybody may read this session, and nothing else, until it ends."""
        end = datetime.now(UTC) + timedelta(seconds=body.expires_in)
        key, secret = await self._sim.database.run(self._create, call, body.name, end)
        url = f"{call.request.base_url}sessions/{call.session.id}?{SHARE}={secret}"
        return success(NewShareAnswer(key_id=key.id, url=url, expires_at_ms=_ms(end)), 201)

    async def shares(self, call: Call) -> Response:
        """List the valid links of a session."""
        keys = await self._sim.database.run(tokens.list_keys, call.session.id, "share")
        return success(SharesAnswer(links=list(map(_answer, keys))))

    async def unshare(self, call: Call) -> Response:
        """Revoke a link; streams that were opened with it end within a heartbeat."""
        try:
            key_id = UUID(call.request.path_params["keyId"])
        except ValueError:
            raise NotFoundError("There is no such link.") from None
        await self._sim.database.run(self._revoke, call, key_id)
        return success(EmptyAnswer())

    async def _create(self, connection: Connection, call: Call, name: str | None, end: datetime) -> tuple[Token, str]:
        async with connection.transaction():
            await tokens.lock_keys(connection, call.session.id)
            if len(await tokens.list_keys(connection, call.session.id, "share")) >= _MAX_LINKS:
                raise WrongStatusError(f"This session has {_MAX_LINKS} links already; revoke one first.")
            created = await tokens.create(
                connection,
                call.user_id,
                name,
                kind="share",
                scope="read",
                session_id=call.session.id,
                expires_at=end,
            )
            details = {"keyId": str(created[0].id), "expiresAt": end.isoformat()}
            await audit.record(
                connection, audit_origin(call.request), call.user_id, "share.create", call.session.id, details
            )
        return created

    async def _revoke(self, connection: Connection, call: Call, key_id: UUID) -> None:
        async with connection.transaction():
            if await tokens.revoke(connection, key_id, session_id=call.session.id, kind="share") is None:
                raise NotFoundError("There is no such link.")
            details = {"keyId": str(key_id)}
            await audit.record(
                connection, audit_origin(call.request), call.user_id, "share.revoke", call.session.id, details
            )


def _answer(key: Token) -> ShareAnswer:
    end_ms = None if key.expires_at is None else _ms(key.expires_at)
    return ShareAnswer(key_id=key.id, name=key.name, created_at_ms=_ms(key.created_at), expires_at_ms=end_ms)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
