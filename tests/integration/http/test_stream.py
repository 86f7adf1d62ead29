"""Streams over a real connection: order, beginnings, ends, heartbeats."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from app.domain.session import Session
from app.web.http import event_stream
from app.web.http.dialect import Dialect
from app.web.sim import log
from tests.support.client import SESSIONS
from tests.support.postgres import Database
from tests.support.running_engine import MINUTE, START_MS, running_engine, store
from tests.support.running_server import running_server


def control(kind: str):
    return lambda message: message["type"] == kind


async def test_the_stream_of_a_finished_session_is_its_log_and_ends(database: Database) -> None:
    async with running_server(database) as server:
        session = await server.finished()
        async with server.stream(session["id"]) as stream:
            await stream.rest()
        page = await server.data("GET", f"{SESSIONS}/{session['id']}/events")
    assert stream.events == page["events"]
    assert stream.ids == [event["seq"] for event in stream.events] == list(range(1, 103))
    assert stream.frames[-1] == {"type": "caught_up", "sessionId": session["id"], "lastSeq": 102}
    assert stream.response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert stream.response.headers["cache-control"] == "no-store, no-transform"
    assert stream.response.headers["x-accel-buffering"] == "no"


async def test_live_events_follow_the_backlog_without_a_hole_or_duplicate(database: Database) -> None:
    async with running_server(database) as server:
        session = await server.create(replayMsPerCandle=5)
        path = f"{SESSIONS}/{session['id']}"
        async with server.stream(session["id"]) as stream:
            await stream.until(control("caught_up"))
            await server.data("POST", f"{path}/start")
            await stream.until(control("candle"))
            async with server.stream(session["id"]) as late:
                await late.rest()
            await stream.rest()
    assert stream.ids == late.ids == list(range(1, 103))
    assert stream.events == late.events
    assert [frame["type"] for frame in late.frames].count("caught_up") == 1


@pytest.mark.parametrize(
    ("query", "first"),
    [("?fromSeq=0", 1), ("?fromSeq=1", 1), ("?fromSeq=40", 40), ("?tail=5", 98), ("?tail=1000000000000", 1)],
)
async def test_a_stream_from_any_seq_gives_the_same_suffix(database: Database, query: str, first: int) -> None:
    async with running_server(database) as server:
        session = await server.finished()
        async with server.stream(session["id"], query) as stream:
            await stream.rest()
    assert stream.ids == list(range(first, 103))


async def test_last_event_id_is_exclusive_and_wins(database: Database) -> None:
    async with running_server(database) as server:
        session = await server.finished()
        async with server.stream(session["id"], "?fromSeq=5", Last_Event_ID="100") as stream:
            await stream.rest()
        async with server.stream(session["id"], "?tail=50", Last_Event_ID="101") as other:
            await other.rest()
    assert stream.ids == [101, 102]
    assert other.ids == [102]


@pytest.mark.parametrize(
    ("query", "header", "first"),
    [
        ("?lastEventId=100&fromSeq=5", "", 101),
        ("?lastEventId=100&tail=50", "", 101),
        ("?lastEventId=100", "101", 102),
        ("?lastEventId=&fromSeq=99", "", 99),
        ("?fromSeq=99&_=1733000000000", "", 99),
    ],
)
async def test_the_header_wins_over_last_event_id_in_the_query_and_that_over_from_seq(
    database: Database, query: str, header: str, first: int
) -> None:
    async with running_server(database) as server:
        session = await server.finished()
        back = {"Last_Event_ID": header} if header else {}
        async with server.stream(session["id"], query, **back) as stream:
            await stream.rest()
    assert stream.ids == list(range(first, 103))


async def test_types_are_filtered_and_keep_their_seqs(database: Database) -> None:
    async with running_server(database) as server:
        session = await server.finished()
        async with server.stream(session["id"], "?types=status,control") as stream:
            await stream.rest()
        async with server.stream(session["id"], "?types=candle&tail=3") as tail:
            await tail.rest()
    assert stream.ids == [1, 102]
    assert tail.ids == [99, 100, 101]


async def test_a_seq_ahead_of_the_log_is_an_error(database: Database) -> None:
    async with running_server(database) as server:
        session = await server.finished()
        path = f"{SESSIONS}/{session['id']}/stream"
        assert (await server.refused(400, "GET", f"{path}?fromSeq=104"))["code"] == "seq_ahead"
        seen = await server.refused(400, "GET", path, headers={"Last-Event-ID": "103"})
        assert (seen["code"], seen["details"]) == ("seq_ahead", {"lastSeq": 102})
        assert seen["error"] == "Last-Event-ID: 103 is ahead of the log, which ends at 102"


@pytest.mark.parametrize(
    "query",
    [
        "?fromSeq=-1",
        "?fromSeq=x",
        "?tail=-1",
        "?types=candel",
        "?types=",
        "?fromseq=1",
        "?fromSeq=1&tail=1",
        "?fromSeq=1&fromSeq=2",
        "?fromSeq=99999999999999999999",
    ],
)
async def test_a_wrong_parameter_is_refused_in_a_sentence(database: Database, query: str) -> None:
    async with running_server(database) as server:
        session = await server.create()
        await server.refused(400, "GET", f"{SESSIONS}/{session['id']}/stream{query}")


@pytest.mark.parametrize("seen", ["-1", "x", "1.0", "99999999999999999999", "%C2%B2", "1&lastEventId=2"])
async def test_a_last_event_id_in_the_query_that_is_no_seq_is_refused_by_its_name(
    database: Database, seen: str
) -> None:
    async with running_server(database) as server:
        session = await server.create()
        path = f"{SESSIONS}/{session['id']}/stream"
        assert "lastEventId: " in (await server.refused(400, "GET", f"{path}?lastEventId={seen}"))["error"]


@pytest.mark.parametrize("seen", ["-1", "x", "1.0", "99999999999999999999", "²"])
async def test_a_last_event_id_that_is_no_seq_is_refused(database: Database, seen: str) -> None:
    async with running_server(database) as server:
        session = await server.create()
        await server.refused(
            400, "GET", f"{SESSIONS}/{session['id']}/stream", headers={"Last-Event-ID": seen.encode("latin1")}
        )


async def test_behind_the_last_event_of_an_ended_session_there_is_204(database: Database) -> None:
    async with running_server(database) as server:
        session = await server.finished()
        path = f"{SESSIONS}/{session['id']}/stream"
        for query, headers in [
            ("?fromSeq=103", {}),
            ("", {"Last-Event-ID": "102"}),
            ("?tail=0", {}),
            ("?lastEventId=102", {}),
            ("?types=candle", {"Last-Event-ID": "101"}),
            ("?types=note", {}),
        ]:
            response = await server.call("GET", path + query, headers=headers)
            assert (response.status_code, response.content) == (204, b""), query


async def test_head_answers_with_headers_only(database: Database) -> None:
    async with running_server(database) as server:
        session = await server.create()
        response = await server.call("HEAD", f"{SESSIONS}/{session['id']}/stream")
        assert (response.status_code, response.content) == (200, b"")
        assert response.headers["content-type"].startswith("text/event-stream")
        assert len(server.served.streams) == 0


async def test_heartbeats_come_with_and_without_events(database: Database) -> None:
    async with running_server(database, heartbeat_ms=100) as server:
        session = await server.create(replayMsPerCandle=50)
        path = f"{SESSIONS}/{session['id']}"
        async with server.stream(session["id"]) as stream:
            beat = await stream.until(control("heartbeat"))
            assert beat["sessionId"] == session["id"]
            assert beat["ts"] > START_MS
            await server.data("POST", f"{path}/start")
            await stream.until(control("candle"))
            took_s = []
            for _ in range(3):  # One run on time is enough: another process may slow down the machine.
                begun = time.monotonic()
                for _ in range(3):
                    await stream.until(control("heartbeat"))
                    await stream.until(control("candle"))
                took_s.append(time.monotonic() - begun)
            assert sum(took_s) > 0.75  # Nine, of which the first may be due already.
            assert min(took_s) < 0.7
            await server.data("PATCH", path, {"replayMsPerCandle": 0})
            await stream.rest()
    assert [frame["type"] for frame in stream.frames].count("caught_up") == 1


async def test_first_bytes_come_at_once_and_are_no_message_of_their_own(database: Database) -> None:
    async with running_server(database) as server:
        session = await server.create()
        async with server.stream(session["id"]) as stream:
            async with asyncio.timeout(2):
                first = [await anext(stream.lines) for _ in range(5)]
    caught_up = f'data: {{"type":"caught_up","sessionId":"{session["id"]}","lastSeq":0}}'
    assert first == ["retry: 1000", ": zeon sim", "event: caught_up", caught_up, ""]


async def test_messages_without_a_name_are_the_log_and_nothing_else(database: Database) -> None:
    async with running_server(database, heartbeat_ms=20) as server:
        session = await server.create(replayMsPerCandle=5)
        async with server.stream(session["id"]) as stream:
            await stream.until(control("heartbeat"))
            await server.data("POST", f"{SESSIONS}/{session['id']}/start")
            await stream.rest()
    assert stream.named["message"] == len(stream.ids) == 102
    assert stream.named["caught_up"] == 1
    assert set(stream.named) == {"message", "caught_up", "heartbeat"}


async def test_no_block_of_a_stream_is_without_data(database: Database) -> None:
    async with running_server(database, heartbeat_ms=20) as server:
        session = await server.finished()
        async with server.client.stream("GET", f"{SESSIONS}/{session['id']}/stream") as response:
            blocks = (await response.aread()).decode().split("\n\n")
    assert len([block for block in blocks if "event: heartbeat" not in block]) == 104
    assert [block for block in blocks[:-1] if "\ndata: " not in f"\n{block}"] == []


async def test_separators_of_unicode_are_escaped_in_a_stream(database: Database) -> None:
    text = "one\u2028two\u2029three\u0085four ümlaut"
    async with running_server(database) as server:
        session = await server.create()
        call = "SELECT sim_append_event(%s, NULL, 'note', jsonb_build_object('text', %s::text))"
        database.query(call, session["id"], text)
        await server.data("POST", f"{SESSIONS}/{session['id']}/stop")
        async with server.client.stream("GET", f"{SESSIONS}/{session['id']}/stream") as response:
            body = (await response.aread()).decode()
    assert len(body.splitlines()) == body.count("\n")
    note = next(line for line in body.split("\n") if '"note"' in line)
    assert json.loads(note.removeprefix("data: "))["payload"] == {"text": text}
    assert "ümlaut" in note


@pytest.mark.parametrize("move", ["stop", "delete"])
async def test_a_stream_ends_when_its_session_is_stopped_or_deleted(database: Database, move: str) -> None:
    async with running_server(database, poll_ms=60_000) as server:
        session = await server.create()
        path = f"{SESSIONS}/{session['id']}"
        async with server.stream(session["id"]) as stream:
            await stream.until(control("caught_up"))
            await (server.data("POST", f"{path}/stop") if move == "stop" else server.data("DELETE", path))
            await stream.rest()
    assert [event["payload"]["status"] for event in stream.events] == (["stopped"] if move == "stop" else [])


async def test_a_stream_continues_through_pause_and_resume(database: Database) -> None:
    async with running_server(database) as server:
        session = await server.create(replayMsPerCandle=1000, endMs=START_MS + 20 * MINUTE)
        path = f"{SESSIONS}/{session['id']}"
        async with server.stream(session["id"]) as stream:
            await server.data("POST", f"{path}/start")
            await stream.until(control("candle"))
            paused = await server.data("POST", f"{path}/pause")
            assert (await stream.until(control("status")))["seq"] == paused["lastSeq"]
            await server.data("POST", f"{path}/resume")
            await server.data("PATCH", path, {"replayMsPerCandle": 0})
            await stream.rest()
    assert stream.ids == list(range(1, len(stream.ids) + 1))
    statuses = [event["payload"]["status"] for event in stream.events if event["type"] == "status"]
    assert statuses == ["running", "paused", "running", "finished"]


async def test_no_more_streams_than_allowed(database: Database) -> None:
    async with running_server(database, max_streams=2) as server:
        session = await server.create()
        async with server.stream(session["id"]) as first, server.stream(session["id"]) as second:
            await first.next()
            await second.next()
            response = await server.call("GET", f"{SESSIONS}/{session['id']}/stream")
            assert (response.status_code, response.headers["retry-after"]) == (429, "1")
        deadline = asyncio.get_running_loop().time() + 5
        while len(server.served.streams):
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.01)
        async with server.stream(session["id"]) as three:
            await three.next()


async def test_a_heartbeat_due_with_the_last_event_does_not_keep_a_stream_open(database: Database) -> None:
    async with running_engine(database, poll_ms=60_000) as engine:
        await store(engine.pool)
        session = await engine.finished((await engine.start()).id)
        with engine.supervisor.hub.tail(session.id, 0) as tail:
            page = await tail.next(5)
            assert page is not None
            assert tail.after_seq == page.head == 102
            tail.wake.set()  # As the timer of the heartbeat does.
            assert event_stream._is_over(page, tail)


async def test_a_dialect_says_how_a_stream_begins_and_whether_it_says_that_it_caught_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hello(session: Session) -> bytes:
        return f'data: {{"type":"hello","seq":0,"sessionId":"{session.id}"}}\n\n'.encode()

    monkeypatch.setattr(log, "SIM", Dialect("sim", types=("trade",), opening=hello, says_caught_up=False))
    async with running_server(database) as server:
        session = await server.finished(endMs=START_MS + 3 * MINUTE)
        async with server.stream(session["id"], "?fromSeq=1") as stream:
            messages = await stream.rest()
        assert messages == []
        running = await server.create(replayMsPerCandle=60_000)
        async with server.stream(running["id"]) as stream:
            assert await stream.next() == {"type": "hello", "seq": 0, "sessionId": running["id"]}
            await server.data("POST", f"{SESSIONS}/{running['id']}/stop")
            types = [message["type"] for message in await stream.rest()]
    assert types == ["hello", "status"]
