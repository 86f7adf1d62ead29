"""Sessions over HTTP: create, list, read, change, delete and control."""

from __future__ import annotations

from starlette.responses import Response

from app.db import audit
from app.domain.session import Session
from app.engine.comparison import compare_sessions
from app.engine.session_service import Action, IdempotencyKey, SessionService
from app.settings import Settings
from app.web.http.models import EmptyAnswer, EmptyRequest
from app.web.http.parsing import fingerprint, idempotency_key
from app.web.http.request_id import audit_origin
from app.web.http.responses import IF_NONE_MATCH, success, with_etag
from app.web.http.root_path import root_path
from app.web.http.route_spec import IDEMPOTENCY_KEY, SESSION, SESSIONS, Call, RouteGroup, RouteSpec
from app.web.sim.answers import ProfileAnswer, ProfilesAnswer, SessionAnswer, SessionsAnswer
from app.web.sim.comparison import CompareAnswer, CompareQuery
from app.web.sim.diff import DiffAnswer
from app.web.sim.requests import (
    ControlRequest,
    ForkRequest,
    NewSession,
    SessionChanges,
    SessionsQuery,
    StartRequest,
    require_small,
)

_START_MS = 1_704_067_200_000
"""2024-01-01, UTC."""
_NEW_SESSION = {
    "profileSlug": "sma_cross",
    "config": {"fast": 10, "slow": 30},
    "venue": "demo",
    "symbol": "BTCUSDT",
    "timeframe": "1m",
    "startMs": _START_MS,
    "endMs": _START_MS + 86_400_000,
    "replayMsPerCandle": 100,
}


class SessionCalls(RouteGroup):
    """The calls under `/api/sim` that read no log."""

    tag = "sessions"

    def __init__(self, sim: SessionService, settings: Settings) -> None:
        self._sim = sim
        self._settings = settings

    def routes(self) -> list[RouteSpec]:
        """Return the routes of these calls."""
        one, key = SessionAnswer, (IDEMPOTENCY_KEY,)
        return [
            RouteSpec("GET", SESSIONS, self.page, "listSessions", SessionsQuery, answer=SessionsAnswer, scope="read"),
            RouteSpec(
                "POST", SESSIONS, self.create, "createSession", body=NewSession, answer=one, status=201, headers=key,
                refusals=(409, 422), example=_NEW_SESSION,
            ),
            RouteSpec("GET", SESSION, self.get, "getSession", answer=one, scope="share", headers=(IF_NONE_MATCH,)),
            RouteSpec(
                "PATCH", SESSION, self.change, "changeSession", body=SessionChanges, answer=one, refusals=(409,),
                example={"name": "Crossing averages", "tags": ["example"], "speed": 60},
            ),
            RouteSpec("DELETE", SESSION, self.delete, "deleteSession", answer=EmptyAnswer, refusals=(409,)),
            *(
                RouteSpec("POST", f"{SESSION}/{verb}", handler, f"{verb}Session", None, body, one, refusals=refusals)
                for verb, handler, body, refusals in (
                    ("start", self.start, StartRequest, (409, 422)),
                    ("pause", self.pause, EmptyRequest, (409,)),
                    ("resume", self.resume, StartRequest, (409, 422)),
                    ("stop", self.stop, EmptyRequest, (409,)),
                )
            ),
            RouteSpec(
                "POST", f"{SESSION}/control", self.control, "controlSession", body=ControlRequest, answer=one,
                headers=key, refusals=(409, 422), example={"action": "step", "candles": 10},
            ),
            RouteSpec(
                "POST", f"{SESSION}/fork", self.fork, "forkSession", body=ForkRequest, answer=one, status=201,
                budget="heavy", refusals=(409, 422), example={"atSeq": 0, "config": {"fast": 5, "slow": 20}},
            ),
            RouteSpec(
                "GET", f"{SESSION}/diff/{{other:uuid}}", self.diff, "compareSessions", answer=DiffAnswer,
                scope="read", budget="heavy", refusals=(409, 422),
            ),
            RouteSpec(
                "GET", "/api/sim/compare", self.compare, "compare", CompareQuery, answer=CompareAnswer, scope="read",
                budget="heavy", refusals=(404,),
            ),
            RouteSpec(
                "GET", "/api/sim/profiles", self.profiles, "listProfiles", answer=ProfilesAnswer, scope="read"
            ),
        ]  # fmt: skip

    async def create(self, call: Call, body: NewSession) -> Response:
        """Create a session, or return the one created with the same key."""
        spec = body.spec(self._settings)
        key = idempotency_key(call.request, call.json)
        body_hash = fingerprint({name: value for name, value in call.json.items() if name != "idempotencyKey"})
        session, is_new = await self._sim.create(call.user_id, spec, key=key, request_hash=body_hash)
        return self._answer(session, 201 if is_new else 200, _location(call, session))

    async def page(self, call: Call, query: SessionsQuery) -> Response:
        """List the caller's sessions, newest first."""
        page, cursor = await self._sim.page(call.user_id, **query.model_dump())
        return success(SessionsAnswer(sessions=list(map(self._shown, page)), next_cursor=cursor))

    async def get(self, call: Call) -> Response:
        """Show one session."""
        return with_etag(call.request, self._answer(await self._sim.with_details(call.session)))

    async def change(self, call: Call, body: SessionChanges) -> Response:
        """Change pace, name or tags."""
        session = call.session
        if (pace := body.pace()) is not None:
            session = await self._sim.act_on(session, Action("pace", pace))
        if changes := body.name_and_tags():
            session = await self._sim.describe(call.user_id, session.id, changes)
        return self._answer(session)

    async def delete(self, call: Call) -> Response:
        """Delete a session that is not running, with its log."""
        recording = audit.recording(audit_origin(call.request), call.user_id, "session.delete")
        await self._sim.delete(call.user_id, call.session.id, recording)
        return success(EmptyAnswer())

    async def start(self, call: Call, body: StartRequest) -> Response:
        """Run a session from its cursor."""
        return await self._act(call, body.to_action("start"))

    async def pause(self, call: Call, body: EmptyRequest) -> Response:
        """Pause a running session; after the answer no tick follows."""
        return self._answer(await self._sim.pause(call.session))

    async def resume(self, call: Call, body: StartRequest) -> Response:
        """Resume a paused session, or start a created one."""
        return await self._act(call, body.to_action("resume"))

    async def stop(self, call: Call, body: EmptyRequest) -> Response:
        """Stop a session for good; after the answer no tick follows."""
        return self._answer(await self._sim.stop(call.session))

    async def control(self, call: Call, body: ControlRequest) -> Response:
        """Control a session's time; a repeated call with the same Idempotency-Key does nothing."""
        key = idempotency_key(call.request, {})
        if body.wait:
            return await self._step_and_wait(call, body, key)
        if key is None:
            return await self._act(call, body.to_action())
        once = IdempotencyKey(key, fingerprint(str(call.session.id), call.json))
        answer = await self._sim.act_once(call.session, body.to_action(), once, _to_json)
        return success(answer, 200 if answer["id"] == str(call.session.id) else 201)

    async def _step_and_wait(self, call: Call, body: ControlRequest, key: str | None) -> Response:
        """Step, and answer with the session once it pauses again."""
        if key is None:
            await self._sim.act_on(call.session, body.to_action())
        else:
            once = IdempotencyKey(key, fingerprint(str(call.session.id), call.json))
            await self._sim.act_once(call.session, body.to_action(), once, _to_json)
        return self._answer(await self._sim.wait_for_pause(call.user_id, call.session.id))

    async def fork(self, call: Call, body: ForkRequest) -> Response:
        """Create a session that shares this one's log up to a seq, with other settings after it."""
        require_small(body.config or {}, self._settings)
        child = await self._sim.fork_of(call.session, body.at_seq, body.change)
        return self._answer(child, 201, _location(call, child))

    async def diff(self, call: Call) -> Response:
        """Compare two sessions: the first simulated event that differs, their settings and their results."""
        a, b = call.sessions
        return success(DiffAnswer.of(await self._sim.diff(call.user_id, a.id, b.id)))

    async def compare(self, call: Call, query: CompareQuery) -> Response:
        """Compare 2 to 20 sessions: settings that differ, statistics, equity curves, and where the trades part."""
        comparison = await compare_sessions(self._sim, call.user_id, query.ids, query.points)
        return success(CompareAnswer.of(comparison))

    async def profiles(self, call: Call) -> Response:
        """List the strategies and profiles that a session can use."""
        profiles = await self._sim.strategies.list_profiles(self._sim.database)
        return success(ProfilesAnswer(profiles=[ProfileAnswer(**profile._asdict()) for profile in profiles]))

    async def _act(self, call: Call, action: Action) -> Response:
        session = await self._sim.act_on(call.session, action)
        if session.id == call.session.id:
            return self._answer(session)
        return self._answer(session, 201, _location(call, session))

    def _answer(self, session: Session, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        return success(self._shown(session), status, headers)

    def _shown(self, session: Session) -> SessionAnswer:
        return SessionAnswer.of(session, self._settings.root_path)


def _location(call: Call, session: Session) -> dict[str, str]:
    return {"Location": f"{root_path(call.request)}/api/sim/sessions/{session.id}"}


def _to_json(session: Session) -> dict[str, object]:
    return SessionAnswer.of(session).model_dump(mode="json", by_alias=True)
