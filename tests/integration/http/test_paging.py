"""Pages and refusals are alike in every list: names, bounds, cursors, and when to try again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.errors import SimError
from app.web import routes
from app.web.http.responses import failure
from tests.support.client import SESSIONS
from tests.support.postgres import Database
from tests.support.running_server import running_server

LISTS = (SESSIONS, "/api/market/sessions")
CANDLES = "/api/market/candles?symbol=BTCUSDT&timeframe=1m&venue=demo"


async def test_limits_and_cursors_have_one_form_and_one_refusal_everywhere(database: Database) -> None:
    async with running_server(database, candles=5) as server:
        session_id = (await server.create())["id"]
        await server.create()
        paged = [f"{path}?" for path in LISTS] + [f"{SESSIONS}/{session_id}/events?", f"{CANDLES}&"]
        for limit in ("0", "-1", "1000000", "1e2", "many", "1.5"):
            refused = [await server.refused(400, "GET", f"{path}limit={limit}") for path in paged]
            assert {answer["code"] for answer in refused} == {"malformed"}, limit
            assert {answer["error"].partition(":")[0] for answer in refused} == {"limit"}
        for cursor in ("nonsense", "bm8gY3Vyc29y"):
            refused = [await server.refused(400, "GET", f"{path}?cursor={cursor}") for path in LISTS]
            assert len({str(answer) for answer in refused}) == 1
            assert refused[0]["code"] == "bad_input"
        first = await server.data("GET", f"{SESSIONS}?limit=1")
        second = await server.data("GET", f"{SESSIONS}?limit=1&cursor={first['nextCursor']}")
        assert len(first["sessions"]) == len(second["sessions"]) == 1
        assert first["sessions"][0]["id"] != second["sessions"][0]["id"]
        assert second["nextCursor"] is None
        parameters = (await server.call("GET", "/openapi.json")).json()["paths"]
    described = [parameter for path in LISTS for parameter in parameters[path]["get"]["parameters"]]
    for name in ("limit", "cursor"):
        same = [parameter for parameter in described if parameter["name"] == name]
        assert len(same) == 2
        assert same[0] == same[1]


def errors(kind: type[SimError] = SimError) -> Iterator[type[SimError]]:
    assert routes  # It imports every module that has an error.
    for child in kind.__subclasses__():
        yield child
        yield from errors(child)


@pytest.mark.parametrize("kind", [kind for kind in errors() if kind.status in (429, 503)])
def test_every_refusal_that_passes_says_when_to_try_again(kind: type[SimError]) -> None:
    response = failure(kind())
    assert int(response.headers["Retry-After"]) >= 1
