"""Sessions over HTTP: create, list, read, change, delete and control."""

from __future__ import annotations

from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from app.domain.session import Session
from app.engine.session_service import Action, IdempotencyKey, SessionService
from app.settings import Settings
from app.web.http.auth import Authenticator, Caller
from app.web.http.parsing import BodyReader, fingerprint, idempotency_key, parse, query
from app.web.http.responses import success
from app.web.sim.answers import EmptyAnswer, ProfileAnswer, ProfilesAnswer, SessionAnswer, SessionsAnswer
from app.web.sim.diff import DiffAnswer
from app.web.sim.requests import (
    ControlRequest,
    EmptyRequest,
    ForkRequest,
    NewSession,
    SessionChanges,
    SessionsQuery,
    StartRequest,
    require_small,
)


class SessionCalls:
    """The calls under `/api/sim` that answer at once."""

    def __init__(self, sim: SessionService, identity: Authenticator, settings: Settings) -> None:
        self._sim = sim
        self._identity = identity
        self._settings = settings
        self._reader = BodyReader(settings)

    async def create(self, request: Request) -> Response:
        """Create a session, or find the one that was created under the same key."""
        caller = await self._identity.caller(request)
        raw = await self._reader.json(request)
        spec = parse(NewSession, raw).spec(self._settings)
        key = idempotency_key(request, raw)
        asked = fingerprint({name: value for name, value in raw.items() if name != "idempotencyKey"})
        session, new = await self._sim.create(caller.user_id, spec, key=key, request_hash=asked)
        where = {"Location": f"/api/sim/sessions/{session.id}"}
        return success(SessionAnswer.of(session), 201 if new else 200, where)

    async def page(self, request: Request) -> Response:
        """List the caller's sessions, newest first."""
        caller = await self._identity.caller(request)
        wanted = parse(SessionsQuery, query(request))
        found, cursor = await self._sim.page(caller.user_id, **wanted.model_dump())
        return success(SessionsAnswer(sessions=[SessionAnswer.of(each) for each in found], next_cursor=cursor))

    async def get(self, request: Request) -> Response:
        """Show one session."""
        caller, session_id = await self._addressed(request)
        return _answer(await self._sim.show(caller.user_id, session_id))

    async def change(self, request: Request) -> Response:
        """Change pace, name or tags."""
        caller, session_id = await self._addressed(request)
        changes = parse(SessionChanges, await self._reader.json(request))
        session = await self._sim.get(caller.user_id, session_id)
        if (pace := changes.pace()) is not None:
            session = await self._sim.act(caller.user_id, session_id, Action("pace", pace))
        if described := changes.described():
            session = await self._sim.describe(caller.user_id, session_id, described)
        return _answer(session)

    async def delete(self, request: Request) -> Response:
        """Delete a session that is not running, with its log."""
        caller, session_id = await self._addressed(request)
        await self._sim.delete(caller.user_id, session_id)
        return success(EmptyAnswer())

    async def start(self, request: Request) -> Response:
        """Run a session from its cursor on."""
        caller, session_id = await self._addressed(request)
        asked = parse(StartRequest, await self._reader.json(request))
        return _answer(await self._sim.start(caller.user_id, session_id, accept_revised=asked.accept_revised))

    async def pause(self, request: Request) -> Response:
        """Pause a running session; no tick follows the answer."""
        return await self._move(request, "pause")

    async def resume(self, request: Request) -> Response:
        """Go on with a paused session."""
        caller, session_id = await self._addressed(request)
        asked = parse(StartRequest, await self._reader.json(request))
        action = Action("resume", accept_revised=asked.accept_revised)
        return _answer(await self._sim.act(caller.user_id, session_id, action))

    async def stop(self, request: Request) -> Response:
        """Stop a session for good; no tick follows the answer."""
        return await self._move(request, "stop")

    async def control(self, request: Request) -> Response:
        """Steer a session's time; a call repeated under its Idempotency-Key does nothing twice."""
        caller, session_id = await self._addressed(request)
        raw = await self._reader.json(request)
        body = parse(ControlRequest, raw)
        action = body.asked()
        key = idempotency_key(request, {})
        if key is None:
            return _answer(await self._sim.act(caller.user_id, session_id, action))
        once = IdempotencyKey(key, fingerprint(str(session_id), raw))
        return success(await self._sim.act_once(caller.user_id, session_id, action, once, _rendered))

    async def fork(self, request: Request) -> Response:
        """Make a session that shares this one's log up to a seq and then goes its own way."""
        caller, session_id = await self._addressed(request)
        asked = parse(ForkRequest, await self._reader.json(request))
        require_small(asked.config or {}, self._settings)
        session = await self._sim.fork(caller.user_id, session_id, asked.at_seq, asked.change)
        where = {"Location": f"/api/sim/sessions/{session.id}"}
        return success(SessionAnswer.of(session), 201, where)

    async def diff(self, request: Request) -> Response:
        """Tell where what two sessions simulated differs first, and how their settings and results differ."""
        caller, session_id = await self._addressed(request)
        return success(DiffAnswer.of(await self._sim.diff(caller.user_id, session_id, request.path_params["other"])))

    async def profiles(self, request: Request) -> Response:
        """List the strategies a session can name."""
        await self._identity.caller(request)
        found = await self._sim.strategies.every(self._sim.database)
        return success(ProfilesAnswer(profiles=[ProfileAnswer(**each._asdict()) for each in found]))

    async def _move(self, request: Request, call: str) -> Response:
        caller, session_id = await self._addressed(request)
        parse(EmptyRequest, await self._reader.json(request))
        return _answer(await self._sim.act(caller.user_id, session_id, Action(call)))

    async def _addressed(self, request: Request) -> tuple[Caller, UUID]:
        return await self._identity.caller(request), request.path_params["id"]


def _answer(session: Session) -> Response:
    return success(SessionAnswer.of(session))


def _rendered(session: Session) -> dict[str, object]:
    return SessionAnswer.of(session).model_dump(mode="json", by_alias=True)
