"""What `/openapi.json` says is so: it is valid, its examples run, its answers and events have the schemas it gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.domain.event import TYPES
from tests.support.client import SESSIONS
from tests.support.postgres import Database
from tests.support.running_engine import START_MS
from tests.support.running_server import InProcessServer, running_server

DAY = 1440
WORDS = {
    *(
        "type",
        "anyOf",
        "oneOf",
        "enum",
        "const",
        "default",
        "description",
        "examples",
        "format",
        "pattern",
        "deprecated",
    ),
    *("minimum", "maximum", "exclusiveMinimum", "minLength", "maxLength", "minItems", "maxItems", "items", "required"),
    *("properties", "additionalProperties", "$ref", "discriminator"),
}
"""The words of JSON Schema, and of OpenAPI, that the document uses; any other is a word of a library."""
PLOTS = {"profileSlug": "sma_cross", "config": {"fast": 3, "slow": 8, "lines": True}}


class Description:
    """The document, and validators of its schemas."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                yield method.upper(), path, operation

    def faults(self, value: Any, schema: dict[str, Any]) -> list[str]:
        whole = {**schema, "components": self.document["components"]}
        return [f"{list(error.path)}: {error.message}" for error in Draft202012Validator(whole).iter_errors(value)]

    def event_faults(self, value: Any, name: str = "Event") -> list[str]:
        return self.faults(value, {"$ref": f"#/components/schemas/{name}"})


async def description(server: InProcessServer) -> Description:
    return Description((await server.call("GET", "/openapi.json")).json())


def schemas(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every schema in a part of the document."""
    if isinstance(node, list):
        for part in node:
            yield from schemas(part)
    elif isinstance(node, dict):
        if {"type", "anyOf", "oneOf", "enum"} & set(node) and not isinstance(node.get("type"), dict):
            yield node
        for name, part in node.items():
            if name not in ("default", "example", "examples", "enum", "mapping", "securitySchemes", "required"):
                yield from schemas(part)


async def test_the_document_is_valid_and_speaks_json_schema(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        described = await description(server)
    document = described.document
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    foreign = {word for schema in schemas([document["paths"], document["components"]["schemas"]]) for word in schema}
    assert foreign - WORDS - {"name", "in"} == set()
    limit = next(
        parameter for parameter in document["paths"][SESSIONS]["get"]["parameters"] if parameter["name"] == "limit"
    )
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}
    new = document["components"]["schemas"]["NewSession"]["properties"]
    assert (new["initialCash"]["default"], new["leverage"]["default"]) == (10_000, 1)
    for schema in schemas(document["components"]["schemas"]):
        if "default" in schema and schema["default"] is not None:
            assert described.faults(schema["default"], {key: schema[key] for key in schema if key != "default"}) == []
    for _, path, operation in described.operations():
        refused = [status for status in operation["responses"] if status >= "400"]
        assert {"400", "500", "503"} <= set(refused), path
    assert set(document["components"]["schemas"]["Event"]["discriminator"]["mapping"]) == set(TYPES)


async def test_without_a_token_where_one_is_needed_the_document_says_so(database: Database) -> None:
    async with running_server(database, candles=0, auth="token") as server:
        document = (await description(server)).document
    assert document["security"] == [{"token": []}, {"cookie": []}]
    assert document["paths"]["/login"]["post"]["security"] == []
    assert set(document["components"]["securitySchemes"]) == {"token", "cookie", "share"}


async def test_its_examples_run_and_answers_have_their_schemas(database: Database) -> None:
    async with running_server(database, candles=DAY) as server:
        described = await description(server)
        operations = {
            operation["operationId"]: (method, path, operation) for method, path, operation in described.operations()
        }
        called = set()
        for name, (method, path, operation) in operations.items():
            if name in ("login", "importCandles", "describe", "metrics") or "stream" in name:
                continue
            if "{id}" in path:
                creator = "createMarketSession" if "market" in path else "createSession"
                created = (await _call(server, *operations[creator])).json()
                path = path.replace("{id}", created.get("sessionId") or created["data"]["id"])
                path = path.replace("{other}", created.get("sessionId") or created["data"]["id"])
            if "{orderId}" in path:
                order = await server.call("POST", path.replace("/{orderId}", ""), {"side": "buy", "type": "market"})
                path = path.replace("{orderId}", str(order.json()["data"]["orderId"]))
            if "{keyId}" in path:
                link = (await server.call("POST", path.replace("/{keyId}", ""))).json()
                path = path.replace("{keyId}", link["data"]["keyId"])
            if name == "compare":
                ids = [(await _call(server, *operations["createSession"])).json()["data"]["id"] for _ in range(2)]
                next(each for each in operation["parameters"] if each["name"] == "ids")["example"] = ids
            if name == "pauseSession":
                await server.call("POST", path.replace("pause", "start"))
            response = await _call(server, method, path, operation)
            assert response.status_code in (200, 201), (name, response.text)
            answer = operation["responses"][str(response.status_code)]["content"]
            if "application/json" in answer:
                assert described.faults(response.json(), answer["application/json"]["schema"]) == [], name
            called.add(name)
    assert len(called) > 25


async def _call(server: InProcessServer, method: str, address: str, operation: dict[str, Any]) -> Any:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
    query = {parameter["name"]: parameter["example"] for parameter in operation["parameters"] if "example" in parameter}
    query = {name: ",".join(value) if isinstance(value, list) else value for name, value in query.items()}
    return await server.client.request(method, address, json=body, params=query)


async def test_every_event_and_message_has_the_schema_of_its_type(database: Database) -> None:
    async with running_server(database) as server:
        described = await description(server)
        session = await server.finished(**PLOTS)
        other = await server.finished(gapPolicy="skip", startMs=START_MS - 600_000)
        database.query("SELECT sim_append_event(%s, NULL, 'note', '{\"text\": \"look\"}')", session["id"])
        seen = set()
        for session_id in (session["id"], other["id"]):
            async with server.stream(session_id) as stream:
                await stream.rest()
            for message in stream.frames:
                assert described.event_faults(message, "StreamMessage") == [], message
                seen.add(message["type"])
        market = f"/api/market/sessions/{await _market(server)}"
        await server.call("POST", f"{market}/start")
        async with server.client.stream("GET", f"{market}/stream") as response:
            lines = [line async for line in response.aiter_lines() if line.startswith("data: ")]
        assert {json.loads(line[6:])["type"] for line in lines} >= {"session_status", "candle"}
        assert [described.event_faults(json.loads(line[6:]), "MarketStreamMessage") for line in lines] == [[]] * len(
            lines
        )
    assert seen >= {
        "status",
        "candle",
        "gap",
        "signal",
        "order",
        "fill",
        "trade",
        "equity",
        "plot",
        "note",
        "caught_up",
    }


async def _market(server: InProcessServer) -> str:
    """Create a market session."""
    body = {"symbols": ["BTCUSDT"], "timeframe": "1m", "start": START_MS, "end": START_MS + 120_000, "speed": 100}
    session_id = (await server.call("POST", "/api/market/sessions", {**body, "venue": "demo"})).json()["sessionId"]
    return str(session_id)


async def test_an_event_of_another_form_is_noticed(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        described = await description(server)
    good = {"seq": 1, "ts": 1, "type": "log", "payload": {"message": "x"}}
    assert described.event_faults(good) == []
    for wrong in ({"seq": 0}, {"type": "logg"}, {"payload": {}}, {"type": "trade"}):
        assert described.event_faults({**good, **wrong}), wrong


@pytest.mark.parametrize("path", [SESSIONS, "/api/market/sessions"])
async def test_a_session_that_has_not_changed_is_not_sent_again(database: Database, path: str) -> None:
    async with running_server(database, candles=3) as server:
        session_id = (await server.create())["id"] if path == SESSIONS else await _market(server)
        address = f"{path}/{session_id}"
        first = await server.call("GET", address)
        etag = first.headers["etag"]
        for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            again = await server.call("GET", address, headers={"If-None-Match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert (await server.call("GET", address, headers={"If-None-Match": '"other"'})).content == first.content
        await server.call("PATCH", f"{SESSIONS}/{session_id}", {"name": "new", "speed": 2})
        changed = await server.call("GET", address, headers={"If-None-Match": etag})
        assert (changed.status_code, changed.headers["etag"] == etag) == (200, False)
