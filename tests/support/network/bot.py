"""A bot: it calls the exchange face of one session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.support.client import SESSIONS
from tests.support.running_server import InProcessServer


@dataclass
class Bot:
    """The calls of one bot; `key` is a bot key or the session's id."""

    server: InProcessServer
    key: str
    session_id: str

    @property
    def path(self) -> str:
        """The session's path in the API."""
        return f"{SESSIONS}/{self.session_id}"

    async def call(self, path: str, method: str = "GET", **params: Any) -> Any:
        """Make a call that succeeds and return its answer."""
        response = await self.send(path, method, **params)
        assert response.status_code == 200, response.text
        return response.json()

    async def refused(self, code: int, path: str, method: str = "GET", *, status: int = 400, **params: Any) -> str:
        """Make a call that fails and return its sentence."""
        response = await self.send(path, method, **params)
        answer = response.json()
        assert (response.status_code, answer["code"]) == (status, code), response.text
        assert set(answer) == {"code", "msg"}
        return answer["msg"]

    async def send(self, path: str, method: str = "GET", **params: Any) -> Any:
        where = "params" if method == "GET" else "data"
        path = path if "/" in path and path.split("/")[0] in ("sapi", "fapi", "dapi") else f"api/v3/{path}"
        return await self.server.client.request(
            method, f"/x/binance/{self.key}/{path}", **({where: params} if params else {})
        )

    async def step(self, candles: int = 1) -> None:
        await self.server.data("POST", f"{self.path}/control", {"action": "step", "candles": candles, "wait": True})


async def bot(server: InProcessServer, **changes: Any) -> Bot:
    """Create a session that is traded from outside, for a bot that uses its id as key."""
    session = await server.create(**{"profileSlug": "manual", **changes})
    return Bot(server, session["id"], session["id"])
