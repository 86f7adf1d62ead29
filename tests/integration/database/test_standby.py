"""A database that becomes a standby, and the primary again."""

from __future__ import annotations

import asyncio

from tests.support.cli import Cli
from tests.support.client import SESSIONS
from tests.support.postgres import PrivatePostgres
from tests.support.running_server import running_server
from tests.support.server_process import until


def demote(postgres: PrivatePostgres) -> None:
    """Restart a server as a standby that waits for a primary."""
    postgres.shut_down("fast")
    (postgres.embedded.pgdata / "standby.signal").touch()
    postgres.start()


async def test_a_standby_is_refused_in_one_sentence_and_a_server_on_it_waits_until_it_is_promoted(
    private_postgres: PrivatePostgres,
) -> None:
    database = private_postgres.new_database()
    async with running_server(database, heartbeat_ms=100) as server:
        undisturbed = await server.finished()
        session = await server.create(replayMsPerCandle=50)
        path = f"{SESSIONS}/{session['id']}"
        await server.data("POST", f"{path}/start")
        async with server.stream(session["id"]) as stream:
            await stream.until(lambda message: message["type"] == "candle")
            await asyncio.to_thread(demote, private_postgres)
            await stream.until(lambda message: message["type"] == "heartbeat")
            refused = await server.refused(503, "PATCH", path, {"name": "renamed"})
            assert refused["code"] in ("database_read_only", "database_away")
            for command in ("serve", "doctor"):
                done = await asyncio.to_thread(Cli(database).run, command, code=1)
                assert (
                    "is a standby, which accepts no changes; use the address of the primary"
                    in done.stdout + done.stderr
                )
                assert "Traceback" not in done.stderr
            await until(lambda: "does not accept changes" in str(server.served.sim._supervisor.write_problem))
            await asyncio.to_thread(private_postgres.embedded.pg_ctl, "promote")
            await stream.rest(30)
        assert stream.ids == list(range(1, 103))
        ended = await server.data("GET", path)
        assert (ended["status"], ended["digest"]) == ("finished", undisturbed["digest"])
    private_postgres.drop(database)
