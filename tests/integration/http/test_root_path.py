"""A server below a path of a proxy: it answers with and without that path, and what it names has it."""

from __future__ import annotations

import re

import httpx2
import pytest

from app.errors import BadInputError
from app.settings import load
from app.web.website import FOLDER
from tests.support.client import BODY, Client
from tests.support.postgres import Database
from tests.support.running_server import running_server

SESSIONS = "/api/sim/sessions"


@pytest.mark.parametrize("kept", ["", "/zeon"], ids=["taken off by the proxy", "kept by the proxy"])
async def test_addresses_of_answers_begin_with_the_root_path(database: Database, kept: str) -> None:
    async with running_server(database, root_path="/zeon", auth=("token",)) as server:
        _, secret = await server.token("anna")
        client = httpx2.AsyncClient(base_url=server.served.url + kept, headers={"Authorization": f"Bearer {secret}"})
        async with client as http:
            call = Client(http)
            created = await call.call("POST", SESSIONS, body=BODY | {"profileSlug": "manual"})
            session = created.json()["data"]
            address = f"/zeon{SESSIONS}/{session['id']}"
            assert created.headers["Location"] == address
            assert session["streamUrl"] == f"{address}/stream"
            ordered = await call.call(
                "POST", f"{SESSIONS}/{session['id']}/orders", body={"side": "BUY", "type": "market"}
            )
            assert ordered.headers["Location"] == f"{address}/orders/1"
            shared = await call.call("POST", f"{SESSIONS}/{session['id']}/share", body={"expiresIn": 3600})
            assert shared.json()["data"]["url"].startswith(f"{server.served.url}/zeon/sessions/{session['id']}?share=")
            described = (await call.call("GET", "/openapi.json")).json()
            assert [entry["url"] for entry in described["servers"]] == ["/zeon"]
            login = await call.call("POST", "/login", body={"token": secret})
            assert all("; path=/zeon/;" in cookie.lower() for cookie in login.headers.get_list("set-cookie"))
            page = await call.call("GET", "/")
            assert "</zeon/static/client.js>" in page.headers["Link"]
            assert (await call.call("GET", "/healthz")).status_code == 200
            lost = await http.get("/no/such/page", headers={"Accept": "text/html"})
            assert (lost.status_code, '<a href="/zeon/">All sessions</a>' in lost.text) == (404, True)


async def test_a_path_that_only_begins_alike_is_not_the_root_path(database: Database) -> None:
    async with running_server(database, candles=0, root_path="/api") as server:
        assert (await server.call("GET", "/apis")).status_code == 404
        assert (await server.call("GET", "/api/api/sim/profiles")).status_code == 200
        assert (await server.call("GET", "/api")).headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("value", ["zeon", "/zeon/", "//", "/a b", "/zeon?x"])
def test_a_root_path_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(BadInputError, match="ZEON_ROOT_PATH"):
        load(root_path=value)


def test_pages_name_nothing_by_a_path_from_the_root() -> None:
    named = r"""(?:href|src)=["'`]/|(?:href: |href = |assign\(|fetch\(|from |import\()["'`]/"""
    files = [path for path in FOLDER.rglob("*") if path.suffix in (".html", ".js") and "vendor" not in path.parts]
    files.remove(FOLDER / "404.html")  # Shown at any depth; the server puts the root path in.
    assert len(files) > 30
    found = {path.name: re.findall(named, path.read_text()) for path in files}
    assert {name: hits for name, hits in found.items() if hits} == {}
