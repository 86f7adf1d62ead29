"""A thousand malformed requests, each answered with 4xx and a sentence."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from uuid import uuid4

from tests.support.client import BODY, SESSIONS
from tests.support.postgres import Database
from tests.support.running_server import running_server

JSON = {"Content-Type": "application/json"}
CONTROLS = ("start", "pause", "resume", "stop", "control")
LONE = "\ud800"


class Request(NamedTuple):
    """What is sent, byte for byte."""

    method: str
    path: str
    content: bytes | None = None
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed


class Malformed:
    """Makes requests that are wrong in one way each, the same ones every time."""

    def __init__(self, seed: int, session_id: str) -> None:
        self._random = random.Random(seed)
        self._path = f"{SESSIONS}/{session_id}"

    def requests(self, count: int) -> Iterator[Request]:
        kinds: list[Callable[[], Request]] = [
            self.field,
            self.field,
            self.unknown_field,
            self.not_json,
            self.no_object,
            self.change,
            self.control,
            self.move,
            self.question,
            self.wrong_id,
            self.wrong_method,
            self.foreign_origin,
            self.foreign_host,
            self.wrong_type,
            self.last_event_id,
            self.key,
            self.nowhere,
        ]
        for _ in range(count):
            yield self._random.choice(kinds)()

    def field(self) -> Request:
        """A new session with one field that is wrong."""
        name = self._random.choice([name for name in BODY if name != "venue"])
        value = self._random.choice(
            [True, [], {}, [{}], -1, -(2**63), 2**63 - 1, 1.5, -0.5, "", "\0", LONE, "x" * 300, "7 m"]
        )
        return self.post(SESSIONS, {**BODY, name: value})

    def unknown_field(self) -> Request:
        name = self._random.choice(
            ["", "x", "Symbol", "start_ms", "__proto__", "\0", LONE, "y" * 5000, "fees", "id", "status"]
        )
        return self.post(SESSIONS, {**BODY, name: self.anything()})

    def not_json(self) -> Request:
        text = json.dumps(BODY).encode()
        broken = [
            text[: self._random.randrange(1, len(text))],
            text + b"}",
            text.replace(b'"demo"', b"NaN"),
            text.replace(b'"demo"', b"Infinity"),
            text.replace(b'"demo"', b"1e999"),
            text.replace(b'"demo"', b"9" * self._random.choice([20, 400, 5000])),
            text.replace(b"demo", b"\xff\xfe"),
            text.replace(b"demo", b"\x00"),
            self.deep(),
            self._random.randbytes(self._random.randrange(1, 300)),
            text.decode().encode("utf-16"),
        ]
        return Request("POST", SESSIONS, self._random.choice(broken), JSON)

    def deep(self) -> bytes:
        depth = self._random.choice([33, 100, 5000, 100_000])
        opening, closing = self._random.choice([(b"[", b"]"), (b'{"a":', b"}")])
        return b'{"config":' + opening * depth + b"1" + closing * depth + b"}"

    def no_object(self) -> Request:
        path = self._random.choice([SESSIONS, *(f"{self._path}/{call}" for call in CONTROLS)])
        return self.post(path, self._random.choice([[], [1], "x", 1, None, True, -1.5]))

    def change(self) -> Request:
        bad = [
            {"speed": self.not_a(1, 200)},
            {"replayMsPerCandle": self._random.choice([-1, 1.5, "1", 2**62, [], True])},
            {"speed": 1, "replayMsPerCandle": 1},
            {"tags": self._random.choice(["a", [1], [""], ["x" * 101], ["t"] * 51, {}, [None], ["\0"]])},
            {"name": self._random.choice([1, [], {}, "x" * 201, "\0", LONE])},
            {"status": "running"},
            {"id": str(uuid4())},
        ]
        return Request("PATCH", self._path, json.dumps(self._random.choice(bad)).encode(), JSON)

    def control(self) -> Request:
        bad = [
            {},
            {
                "action": self._random.choice(
                    ["", "PAUSE", "step", "jump", "runUntil", "fork", 1, None, [], {}, "\0", LONE]
                )
            },
            {"action": "pause", "args": {}},
            {"action": "stop", "speed": 1},
            {"action": "pace"},
            {"action": "pace", "speed": self.not_a(1, 200)},
            {"action": "pace", "speed": 1, "replayMsPerCandle": 0},
        ]
        return self.post(f"{self._path}/control", self._random.choice(bad))

    def move(self) -> Request:
        path = f"{self._path}/{self._random.choice(CONTROLS[:-1])}"
        return self.post(path, {self._random.choice(["x", "force", "acceptRevised", "\0"]): self.anything()})

    def question(self) -> Request:
        value = self._random.choice(
            ["-1", "x", "1.5", "1e3", "9" * 30, "%00", "%ff%fe", "1_0", "0x10", " ", "²", "NaN"]
        )
        queries = [
            (SESSIONS, "limit"),
            (SESSIONS, "status"),
            (SESSIONS, "cursor"),
            (SESSIONS, "what"),
            (f"{self._path}/events", "fromSeq"),
            (f"{self._path}/events", "limit"),
            (f"{self._path}/events", "types"),
            (f"{self._path}/events", "tail"),
            (f"{self._path}/stream", "fromSeq"),
            (f"{self._path}/stream", "tail"),
            (f"{self._path}/stream", "types"),
            (f"{self._path}/stream", "token"),
        ]
        path, name = self._random.choice(queries)
        return Request("GET", f"{path}?{name}={value}")

    def wrong_id(self) -> Request:
        wrong = [
            "x",
            "%00",
            "1",
            "..%2f..",
            str(uuid4()),
            str(uuid4())[:-1],
            "null",
            "%F0%9F%90%8B",
            "'; DROP TABLE x; --",
            "a" * 3000,
        ]
        rest = self._random.choice(["", "/events", "/stream", "/start", "/control"])
        method = (
            "POST" if rest in ("/start", "/control") else self._random.choice(["GET", "DELETE"]) if not rest else "GET"
        )
        content = b'{"action":"pause"}' if rest == "/control" else None
        return Request(method, f"{SESSIONS}/{self._random.choice(wrong)}{rest}", content, JSON if content else {})

    def wrong_method(self) -> Request:
        path = self._random.choice([SESSIONS, self._path, f"{self._path}/stream", "/healthz", "/", "/openapi.json"])
        return Request(self._random.choice(["PUT", "OPTIONS", "TRACE", "LINK"]), path)

    def foreign_origin(self) -> Request:
        origin = self._random.choice(
            ["https://evil.example", "null", "http://localhost:1", "http://[", "x", "file:///"]
        )
        method, path = self._random.choice(
            [("POST", SESSIONS), ("PATCH", self._path), ("DELETE", self._path), ("POST", "/login")]
        )
        return Request(method, path, b"{}", {**JSON, "Origin": origin})

    def foreign_host(self) -> Request:
        host = self._random.choice(
            ["evil.example", "localhost.evil.example", "[::1", "localhost:x", "@", "127.0.0.1.nip.io"]
        )
        return Request("GET", self._random.choice([SESSIONS, "/", self._path]), None, {"Host": host})

    def wrong_type(self) -> Request:
        kind = self._random.choice(
            ["text/plain", "application/xml", "multipart/form-data", "application/json; charset=utf-16", "json"]
        )
        return Request("POST", SESSIONS, json.dumps(BODY).encode(), {"Content-Type": kind})

    def last_event_id(self) -> Request:
        seen = self._random.choice(["-1", "x", "1.0", "9" * 19, "9" * 40, "1,2", "0x1", "77"])
        return Request("GET", f"{self._path}/stream", None, {"Last-Event-ID": seen})

    def key(self) -> Request:
        key = self._random.choice(["x" * 201, "a b", "\u00fc", "x" * 5000])
        return Request("POST", SESSIONS, json.dumps(BODY).encode(), {**JSON, "Idempotency-Key": key})

    def nowhere(self) -> Request:
        path = self._random.choice(
            ["/api", "/api/sim", "/static/", "/static/nothing", "/%00", "/api/market/sessions", "/" + "x" * 9000]
        )
        return Request(self._random.choice(["GET", "POST", "DELETE"]), path)

    def post(self, path: str, body: Any) -> Request:
        return Request("POST", path, json.dumps(body).encode(), JSON)

    def not_a(self, least: int, most: int) -> Any:
        return self._random.choice([least - 1, most + 1, -(2**63), 2**63 - 1, 1.5, "1", True, [], {}])

    def anything(self) -> Any:
        return self._random.choice([None, True, 0, -1, 1.5, "", "x", [], {}, [[]], {"a": {"b": []}}])


async def test_1000_malformed_requests_give_4xx_and_a_sentence_never_5xx(database: Database) -> None:
    statuses: dict[int, int] = {}
    async with running_server(database) as server:
        session = await server.create()
        before = await server.data("GET", f"{SESSIONS}/{session['id']}")
        for request in Malformed(20_240_101, session["id"]).requests(1000):
            headers = {name: value.encode("latin1") for name, value in request.headers.items()}
            response = await server.client.request(
                request.method, request.path, content=request.content, headers=headers
            )
            assert 400 <= response.status_code < 500, (request, response.text)
            assert response.status_code != 429, request
            sentence = response.json()["error"]
            assert len(sentence) > 5, request
            assert "Traceback" not in sentence
            statuses[response.status_code] = statuses.get(response.status_code, 0) + 1
        assert await server.data("GET", f"{SESSIONS}/{session['id']}") == before
        assert len((await server.data("GET", SESSIONS))["sessions"]) == 1
    assert set(statuses) >= {400, 403, 404, 405, 415}
