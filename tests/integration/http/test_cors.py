"""Pages of another origin: what `ZEON_ALLOWED_ORIGINS` allows them, and that all others are refused."""

from __future__ import annotations

import pytest

from tests.support.client import BODY, SESSIONS
from tests.support.postgres import Database
from tests.support.running_server import running_server

PAGE = "http://localhost:5173"
OTHER = "http://localhost:5174"


def preflight(origin: str, method: str = "POST", headers: str = "content-type") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
async def test_a_preflight_of_an_allowed_origin_allows_every_call_with_credentials(
    database: Database, method: str
) -> None:
    headers = "authorization, content-type, idempotency-key, last-event-id"
    async with running_server(database, candles=0, allowed_origins=(PAGE,), auth="token") as server:
        answer = await server.call("OPTIONS", SESSIONS, headers=preflight(PAGE, method, headers))
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert method in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == headers


async def test_answers_to_an_allowed_origin_can_be_read_failures_among_them(database: Database) -> None:
    async with running_server(database, allowed_origins=(PAGE,), burst=6, rate=1) as server:
        created = await server.call("POST", SESSIONS, BODY, headers={"Origin": PAGE})
        path = created.headers["location"]
        server.served.sim.get = None  # type: ignore[assignment,method-assign]
        answers = {
            201: created,
            200: await server.call("GET", SESSIONS, headers={"Origin": PAGE}),
            404: await server.call("GET", "/nothing", headers={"Origin": PAGE}),
            400: await server.call("GET", SESSIONS, headers={"Origin": PAGE, "Host": "foreign.example"}),
            500: await server.call("GET", f"{path}/stream", headers={"Origin": PAGE}),
        }
        while (slowed := await server.call("GET", SESSIONS, headers={"Origin": PAGE})).status_code == 200:
            pass
        answers[429] = slowed
    for status, answer in answers.items():
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == PAGE, status
        assert "Origin" in answer.headers["vary"]
        assert {"Retry-After", "Location"} <= set(answer.headers["access-control-expose-headers"].split(", "))


async def test_a_stream_can_be_followed_from_an_allowed_origin(database: Database) -> None:
    async with running_server(database, allowed_origins=(PAGE,)) as server:
        session = await server.finished()
        async with server.stream(session["id"], Origin=PAGE) as stream:
            await stream.rest()
            assert stream.response.headers["access-control-allow-origin"] == PAGE
    assert stream.ids == list(range(1, 103))


@pytest.mark.parametrize("origin", [OTHER, "null", "http://localhost:5173.evil.example", "https://localhost:5173"])
async def test_an_origin_that_is_not_named_may_still_not_call(database: Database, origin: str) -> None:
    async with running_server(database, candles=0, allowed_origins=(PAGE,)) as server:
        refusal = await server.call("OPTIONS", SESSIONS, headers=preflight(origin))
        assert refusal.status_code == 405
        assert "access-control-allow-origin" not in refusal.headers
        error = (await server.refused(403, "POST", SESSIONS, BODY, headers={"Origin": origin}))["error"]
        assert "ZEON_ALLOWED_ORIGINS" in error
        look = await server.call("GET", SESSIONS, headers={"Origin": origin})
        assert "access-control-allow-origin" not in look.headers


async def test_without_the_setting_no_origin_is_allowed(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        answer = await server.call("GET", SESSIONS, headers={"Origin": PAGE})
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert (await server.call("OPTIONS", SESSIONS, headers=preflight(PAGE))).status_code == 405
