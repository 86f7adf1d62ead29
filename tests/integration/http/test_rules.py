"""Rules for all calls: envelope, limits, Host, Origin, rate; health, the page's files and the API's description."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from decimal import Decimal
from statistics import median
from typing import Any
from urllib.parse import urljoin
from uuid import UUID

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.db.pool import Connection
from app.errors import BadInputError
from app.settings import load
from app.web.serve import run_server
from tests.support.client import BODY, SESSIONS
from tests.support.postgres import Database, PrivatePostgres
from tests.support.running_server import InProcessServer, running_server
from zeon import ApiError, AsyncClient, Client

JSON = {"Content-Type": "application/json"}


async def raw(server: InProcessServer, request: bytes) -> bytes:
    """Send bytes and return everything that comes back until the connection ends."""
    host, port = server.served.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    return answer


async def post(server: InProcessServer, content: Any, **headers: str) -> tuple[int, dict]:
    response = await server.client.post(SESSIONS, content=content, headers={**JSON, **headers})
    return response.status_code, response.json()


async def test_failures_of_the_router_are_sentences_too(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        await server.refused(404, "GET", "/nothing")
        await server.refused(404, "GET", "/api/sim/sessions/")
        await server.refused(404, "GET", f"{SESSIONS}/not-an-id")
        await server.refused(404, "GET", "/static/../app.py")
        response = await server.call("PUT", SESSIONS)
        assert response.status_code == 405
        assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
        assert "error" in response.json()
        assert b'{"error":' in await raw(server, b"this is not HTTP\r\n\r\n")


async def test_an_uncaught_error_is_500_without_a_traceback(database: Database, caplog) -> None:
    async with running_server(database, candles=0) as server:
        server.served.sim.get = None  # type: ignore[assignment,method-assign]
        answer = await server.refused(500, "GET", f"{SESSIONS}/00000000-0000-0000-0000-000000000000")
    assert answer == {
        "error": "Something went wrong in the server; its log says what.",
        "code": "internal_error",
    }
    assert "NoneType" in caplog.text


async def test_bodies_must_be_json_objects_within_limits(database: Database) -> None:
    async with running_server(database, candles=0, max_body=2000, max_depth=5) as server:
        for content in (
            b"",
            b"{",
            b"[]",
            b"null",
            b'"x"',
            b"\xff\xfe",
            b"\xef\xbb\xbf{}",
            b'{"a":NaN}',
            b'{"a":-Infinity}',
            b'{"a":1e999}',
            b'{"a":' + b"9" * 500 + b"}",
            b'{"a":9223372036854775808}',
            b'{"a":"\\u0000"}',
            b'{"\\u0000":1}',
            b'{"a":"\\ud800"}',
            b'{"a":"\x00"}',
            b'{"a":' + b"[" * 5 + b"]" * 5 + b"}",
            b"[" * 1900,
            b'{"a":"' + b'\\"' * 900,
        ):
            status, answer = await post(server, content)
            unstorable = re.search(rb"\\u0000|\\ud8|1e999|999999|9223372036854775808", content)
            assert (status, answer["code"]) == (400, "bad_input" if unstorable else "malformed"), content[:40]


async def test_a_value_that_is_not_a_number_is_refused_with_its_field(database: Database) -> None:
    body = json.dumps(BODY)[:-1]
    async with running_server(database, candles=0) as server:
        for number in ("NaN", "-Infinity", "1e999", "9" * 500, str(10**30), "1" + "0" * 20 + ".5"):
            status, answer = await post(server, f'{body}, "initialCash": {number}}}')
            assert (status, answer["error"].partition(":")[0]) == (400, "initialCash"), answer
            status, answer = await post(server, f'{body}, "sizing": {{"qty": [{number}]}}}}')
            assert (status, answer["error"].partition(":")[0]) == (400, "sizing.qty"), answer
        for number in ("1e-400", "1e-20000", "0e-9999999", f"0.{'1' * 41}"):
            status, answer = await post(server, f'{body}, "slippageBps": {number}}}')
            assert (status, answer["data"]["slippageBps"]) == (201, round(float(number), 40)), answer
        status, answer = await post(server, f'{body}, "slippageBps": 1e-99999999999999999999999}}')
        assert (status, answer["error"].partition(":")[0]) == (400, "slippageBps"), answer
        for number in ("1e-400", "0.0"):
            status, answer = await post(server, f'{body}, "initialCash": {number}}}')
            assert (status, answer["error"].partition(":")[0]) == (400, "initialCash"), answer
        for number, whole in (("60.0", 60), ("6e1", 60), ("60.5", None), ("60.00000000000000000001", None)):
            status, answer = await post(server, f'{body}, "warmupCandles": {number}}}')
            assert (status, answer.get("data", {}).get("warmupCandles")) == (201 if whole else 400, whole), answer
        keyed = {"Idempotency-Key": "digits"}
        assert (await post(server, f'{body}, "feeBps": 1.0}}', **keyed))[0] == 201
        assert (await post(server, f'{body}, "feeBps": 1.0}}', **keyed))[0] == 200
        assert (await post(server, f'{body}, "feeBps": 1.000000000000000000001}}', **keyed))[0] == 422


async def test_numbers_of_more_digits_than_a_float_keep_all_their_digits(database: Database) -> None:
    qty, cash, fee = "0.1234567890123456789", "1234567890123456.78", "0.10000000000000000555"
    body = json.dumps({**BODY, "profileSlug": "buy_and_hold", "config": {}})[:-1]
    terms = f', "initialCash": {cash}, "feeBps": {fee}, "sizing": {{"qty": {qty}}}}}'
    async with running_server(database) as server:
        status, answer = await post(server, body + terms)
        assert status == 201, answer
        session = answer["data"]["id"]
        await server.call("POST", f"{SESSIONS}/{session}/start")
        await server.until(f"{SESSIONS}/{session}", "finished")
        status, answer = await post(server, body + terms.replace(qty, "0.1234567890123456788"))
        assert status == 201, answer
    fill, fees = database.query(
        "SELECT payload ->> 'qty', (payload ->> 'fee')::numeric / (payload ->> 'price')::numeric FROM sim_events"
        " WHERE type = 'fill'"
    )[0]
    assert fill == qty
    assert fees == pytest.approx(Decimal(qty) * Decimal(fee) / 10_000, rel=Decimal("1e-18"))
    stored = database.query("SELECT initial_cash::text, sizing ->> 'qty' FROM sim_sessions ORDER BY created_at")
    assert stored == [(cash, qty), (cash, "0.1234567890123456788")]


async def test_a_body_that_is_too_large_is_refused_while_it_comes_in(database: Database) -> None:
    async with running_server(database, candles=0, max_body=2000) as server:
        assert (await post(server, b'{"a":"' + b"x" * 2000 + b'"}'))[0] == 413

        head = f"POST {SESSIONS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        endless = await raw(server, f"{head}Transfer-Encoding: chunked\r\n\r\nbb8\r\n{'x' * 3000}\r\n".encode())
        assert b" 413 " in endless.partition(b"\r\n")[0]
        assert b'{"error":' in endless


async def test_only_json_is_accepted_and_only_a_body_needs_a_type(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        body = json.dumps(BODY).encode()
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", ""):
            response = await server.client.post(SESSIONS, content=body, headers={"Content-Type": kind})
            assert response.status_code == 415, kind
            assert response.json()["error"]
        for kind in ("application/json", "Application/JSON; charset=UTF-8"):
            response = await server.client.post(SESSIONS, content=body, headers={"Content-Type": kind})
            assert response.status_code == 201
        response = await server.client.post(f"{SESSIONS}/{response.json()['data']['id']}/stop")
        assert response.status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "a@localhost", "[::1"]
)
async def test_a_foreign_host_is_refused(database: Database, host: str) -> None:
    async with running_server(database, candles=0) as server:
        answer = await server.refused(400, "GET", SESSIONS, headers={"Host": host})
        assert answer["error"].startswith("Host: ")


async def test_loopback_and_allowed_hosts_are_accepted(database: Database) -> None:
    async with running_server(database, candles=0, allowed_hosts=("sim.example",)) as server:
        for host in (
            "localhost",
            "LOCALHOST:99",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]:8000",
            "sim.example",
            "Sim.Example:443",
        ):
            await server.data("GET", SESSIONS, headers={"Host": host})
        assert b" 400 " in await raw(server, f"GET {SESSIONS} HTTP/1.0\r\n\r\n".encode())


async def test_probes_need_no_host(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert b" 200 " in await raw(server, f"GET {path} HTTP/1.0\r\n\r\n".encode())
            assert (await server.call("GET", path, headers={"Host": "10.0.0.7:8000"})).status_code == 200


async def test_a_foreign_origin_may_read_but_not_change(database: Database) -> None:
    async with running_server(database, candles=0, allowed_hosts=("sim.example",)) as server:
        for origin in (
            "https://evil.example",
            "null",
            "http://localhost:1",
            "file://",
            server.served.url + "0",
            "x" * 5000,
        ):
            assert "origin" in (await server.refused(403, "POST", SESSIONS, BODY, headers={"Origin": origin}))["error"]
            await server.refused(403, "DELETE", f"{SESSIONS}/nothing", headers={"Origin": origin})
            await server.data("GET", SESSIONS, headers={"Origin": origin})
        await server.data("POST", SESSIONS, BODY, status=201, headers={"Origin": server.served.url})
        own = {"Host": "sim.example", "Origin": "https://sim.example"}
        await server.data("POST", SESSIONS, BODY, status=201, headers=own)


async def test_a_client_that_asks_too_often_is_slowed_down(database: Database) -> None:
    async with running_server(database, candles=0, rate=1, burst=5) as server:
        answers = [await server.call("GET", SESSIONS) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * 5
        while (response := await server.call("GET", SESSIONS)).status_code == 200:
            assert len(answers := [*answers, response]) < 50
        assert (response.status_code, response.headers["retry-after"]) == (429, "1")
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await server.call("GET", path)).status_code == 200


async def test_clients_wait_when_the_server_tells_them_to(database: Database) -> None:
    async with running_server(database, candles=0, rate=5, burst=1) as server:
        async with AsyncClient(server.served.url) as client:
            for _ in range(2):
                assert (await client.sessions())["sessions"] == []
        async with AsyncClient(server.served.url, patience_s=0) as client:
            with pytest.raises(ApiError) as refused:
                await asyncio.gather(client.sessions(), client.sessions())
        assert (refused.value.status, refused.value.code, refused.value.retry_after_s) == (429, "too_many_requests", 1)

        def call() -> list[Any]:
            with Client(server.served.url) as client:
                return [client.sessions()["sessions"] for _ in range(2)]

        assert await asyncio.to_thread(call) == [[], []]


async def test_users_of_one_address_have_budgets_of_their_own_and_strangers_do_not_use_them_up(
    database: Database,
) -> None:
    async with running_server(database, candles=0, rate=1, burst=30, auth="token", user_streams=1) as server:
        anna, berta = [{"Authorization": f"Bearer {(await server.token(user))[1]}"} for user in ("anna", "berta")]
        await server.data("GET", SESSIONS, headers=anna)
        answers = []
        while not answers or answers[-1].status_code != 429:  # On a slow machine the budget fills up meanwhile.
            assert len(answers) < 1000
            answers.append(await server.call("GET", SESSIONS, headers={"Authorization": "Bearer no"}))
        assert [answer.status_code for answer in answers[:20]] == [401] * 20
        assert (answers[-1].json()["code"], answers[-1].headers["retry-after"]) == ("too_many_requests", "1")
        unknown = {"Authorization": "Bearer no"}
        while (known := await server.call("GET", SESSIONS, headers=berta)).status_code != 429:
            while (await server.call("GET", SESSIONS, headers=unknown)).status_code != 429:  # It has filled up again.
                pass
        assert known.json()["code"] == "too_many_requests"
        session = await server.data("POST", SESSIONS, BODY, status=201, headers=anna)
        path = f"{SESSIONS}/{session['id']}/stream"
        async with server.client.stream("GET", path, headers=anna) as stream:
            assert stream.status_code == 200
            second = await server.call("GET", path, headers=anna)
            assert (second.status_code, second.json()["code"]) == (429, "too_many_streams")
            assert second.headers["retry-after"] == "1"
        while (await server.call("GET", SESSIONS, headers=anna)).status_code == 200:
            pass
        while (await server.call("GET", SESSIONS, headers=berta)).status_code == 429:
            pass


@pytest.mark.alone
async def test_small_answers_are_not_held_back_by_nagles_algorithm(database: Database) -> None:
    durations = []
    async with running_server(database, candles=0) as server:
        for _ in range(60):
            began = time.monotonic()
            await server.data("GET", "/healthz")
            durations.append(time.monotonic() - began)
    assert median(durations) < 0.03


async def metrics_with(server: InProcessServer, line: str) -> str:
    """Return the metrics once they have a line."""
    deadline = time.monotonic() + 10
    while f"\n{line}\n" not in (text := (await server.call("GET", "/metrics")).text):
        assert time.monotonic() < deadline, text
    return text


async def test_metrics_count_sessions_streams_and_requests(database: Database) -> None:
    async with running_server(database) as server:
        path = f"{SESSIONS}/{(await server.create(replayMsPerCandle=60_000))['id']}"
        await server.data("POST", f"{path}/start")
        async with server.stream(path.rpartition("/")[2]) as stream:
            await stream.next()
            await server.refused(400, "GET", SESSIONS, headers={"Host": "evil.example"})
            await server.refused(414, "GET", f"{SESSIONS}?{'x' * 9000}")
            await server.refused(413, "POST", SESSIONS, content=b"x" * 300_000, headers=JSON)
            text = await metrics_with(server, "zeon_tick_lateness_seconds_count 1.0")
    for line in (
        'zeon_sessions{status="running"} 1.0',
        "zeon_sessions_running 1.0",
        "zeon_streams_open 1.0",
        'zeon_requests_total{status="201"} 1.0',
        'zeon_refused_total{reason="wrong_host"} 1.0',
        'zeon_refused_total{reason="url_too_long"} 1.0',
        'zeon_refused_total{reason="too_large"} 1.0',
        "zeon_listening 1.0",
        "zeon_database_up 1.0",
        'zeon_pool_waiting{pool="requests"} 0.0',
        "zeon_connections_ended_total 0.0",
        "zeon_ticks_total 1.0",
        "zeon_strategy_processes 0.0",
    ):
        assert f"\n{line}\n" in text
    assert re.search(r"\nzeon_connections_open [2-4]\.0\n", text)  # Refused ones stay open for a moment.
    assert float(re.findall(r"zeon_commit_seconds_sum (\S+)", text)[0]) > 0
    assert len(list(text_string_to_metric_families(text))) == text.count("# HELP ")


async def test_without_the_database_calls_answer_503(private_postgres: PrivatePostgres) -> None:
    database = private_postgres.new_database()
    async with running_server(database, candles=0) as server:
        await server.data("GET", "/readyz")
        await asyncio.to_thread(private_postgres.shut_down)
        await server.data("GET", "/healthz")
        response, _ = await asyncio.gather(server.call("GET", "/readyz"), server.refused(503, "GET", SESSIONS))
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        await asyncio.to_thread(private_postgres.start)
        deadline = time.monotonic() + 20
        while (await server.call("GET", "/readyz")).status_code != 200:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        await server.data("GET", SESSIONS)
    private_postgres.drop(database)


async def test_a_server_is_ready_while_calls_use_all_its_connections(database: Database) -> None:
    async with running_server(database, candles=0, pool_size=2) as server:
        slow = [asyncio.ensure_future(server.served.sim.database.run(_sleep)) for _ in range(2)]
        await asyncio.sleep(0.1)
        for response in await asyncio.gather(*(server.call("GET", "/readyz") for _ in range(20))):
            assert response.status_code == 200
        assert not any(call.done() for call in slow)
        await asyncio.gather(*slow)


async def _sleep(connection: Connection) -> None:
    await connection.execute("SELECT pg_sleep(4)")


async def test_requests_do_not_notice_connections_that_were_cut(database: Database) -> None:
    async with running_server(database) as server:
        await asyncio.gather(*(server.data("GET", SESSIONS) for _ in range(8)))
        await asyncio.to_thread(
            database.query,
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        for _ in range(10):
            await server.create()


@pytest.mark.parametrize("path", ["/", f"/sessions/{UUID(int=0)}"])
async def test_the_page_needs_no_inline_script(database: Database, path: str) -> None:
    async with running_server(database, candles=0) as server:
        page = await server.call("GET", path)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|//", page.text)
        links = re.findall(r'(?:src|href)="((?:\.\./)?static/[\w./]+\.(\w+))"', page.text)
        assert {kind for _, kind in links} == {"js", "css", "svg"}
        for link, kind in links:
            link = urljoin(path, link)
            file = await server.call("GET", link)
            assert file.status_code == 200
            media = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}[kind]
            assert file.headers["content-type"].partition(";")[0] == media
            again = await server.call("GET", link, headers={"If-None-Match": file.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")


async def test_a_page_names_its_modules_and_its_files_can_be_read_in_part(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        for path, folder, others in (
            ("/", "list", "time/blind|time/zone"),
            (f"/sessions/{UUID(int=0)}", "session", r"(trading|time)/[\w-]+|list/parameters"),
        ):
            links = (await server.call("GET", path)).headers["link"].split(", ")
            assert f"</static/{folder}/main.js>; rel=modulepreload" in links
            assert all(
                re.fullmatch(
                    rf"</static/(client|{others}|(common|{folder}|chart|vendor)/[\w-]+)\.js>; rel=modulepreload", link
                )
                for link in links
            )
        types = await server.call("GET", "/static/client.d.ts")
        assert types.headers["content-type"] == "text/plain; charset=utf-8"
        whole = await server.call("GET", "/static/icon.svg")
        head = await server.call("HEAD", "/static/icon.svg")
        assert (head.content, head.headers["content-length"]) == (b"", str(len(whole.content)))
        part = await server.call("GET", "/static/icon.svg", headers={"Range": "bytes=0-3"})
        assert (part.status_code, part.content) == (206, whole.content[:4])
        for response in (
            whole,
            head,
            part,
            await server.call("GET", "/static/icon.svg", headers={"If-None-Match": "*"}),
        ):
            assert response.headers["cache-control"] == "no-cache"
            assert "default-src 'none'" in response.headers["content-security-policy"]
            assert "link" not in response.headers
        for wrong in ("nothing.js", "list", "%2e%2e/page.py", "/etc/passwd", "%00", "x" * 5000):
            await server.refused(404, "GET", f"/static/{wrong}")


async def test_the_api_describes_every_call(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        described = (await server.call("GET", "/openapi.json")).json()
    assert described["openapi"] == "3.1.0"
    paths = described["paths"]
    created_with = paths["/api/market/sessions"]["post"]["responses"]
    assert {"201", "200", "400", "401", "422", "429", "503"} <= set(created_with)
    assert {"200", "204", "404"} <= set(paths[f"{SESSIONS}/{{id}}/stream"]["get"]["responses"])
    assert set(described["paths"][f"{SESSIONS}/{{id}}"]) == {"get", "patch", "delete"}
    assert {SESSIONS, "/api/market/sessions", "/login", "/healthz"} <= set(described["paths"])
    operations = [operation for path in described["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"] for operation in operations)
    known = {f"#/components/{part}/{name}" for part, named in described["components"].items() for name in named}
    assert set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(described))) <= known
    created = described["components"]["schemas"]["NewSession"]
    assert created["additionalProperties"] is False
    assert set(created["required"]) == {"profileSlug", "timeframe", "startMs"}


def test_a_port_that_is_taken_is_an_error_in_a_sentence(database: Database) -> None:
    async def begin() -> None:
        async with run_server(load(database_url=database.url, port=port)):
            pass

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BadInputError, match="PORT"):
            asyncio.run(begin())
