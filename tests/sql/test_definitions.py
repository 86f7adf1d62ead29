"""What SQL and Python both define is the same in both."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from app.db.setup.install import default_sources
from app.domain.event import PAYLOAD_BYTES, SIMULATED, STEERING, TYPES, parse_event
from app.domain.market.timeframe import TIMEFRAMES
from app.errors import BadInputError
from tests.sql.test_append_ticks import connection, new_session
from tests.support.postgres import Database

__all__ = ["connection"]

PACKAGE = Path(__file__).parents[2] / "app"


def test_sql_counts_the_same_types_of_events_as_simulated(any_database: Database) -> None:
    rows = any_database.query("SELECT type, sim_is_simulated(type) FROM unnest(%s::text[]) type", list(TYPES))
    assert {type_ for type_, simulated in rows if simulated} == set(SIMULATED)
    assert {type_ for type_, simulated in rows if not simulated} == set(STEERING)


def test_the_types_that_are_not_simulated_are_listed_once_in_sql_and_once_in_python() -> None:
    listed = re.compile(r"""['"]status['"], ['"]control['"], ['"]note['"]""")
    files = [*default_sources().objects("functions"), *default_sources().objects("views"), *PACKAGE.rglob("*.py")]
    assert {file.name for file in files if listed.search(file.read_text())} == {"sim_is_simulated.sql", "event.py"}


def test_sql_knows_the_same_timeframes_in_the_same_order(any_database: Database) -> None:
    [(names,)] = any_database.query("SELECT timeframes()")
    assert names == list(TIMEFRAMES)
    rows = any_database.query("SELECT name, timeframe_ms(name) FROM unnest(timeframes()) name")
    assert rows == [(timeframe.name, timeframe.ms) for timeframe in TIMEFRAMES.values()]
    assert any_database.query("SELECT timeframe_ms('2m')") == [(None,)]


@pytest.mark.parametrize("time_ms", [0, 1, -1, 345_599_999, 345_600_000, 1_704_067_200_001, -1_704_067_200_001])
def test_sql_puts_a_time_into_the_same_slot(any_database: Database, time_ms: int) -> None:
    rows = any_database.query("SELECT candle_slot_ms(name, %s) FROM unnest(timeframes()) name", time_ms)
    assert [slot_ms for (slot_ms,) in rows] == [timeframe.floor(time_ms) for timeframe in TIMEFRAMES.values()]


@pytest.mark.parametrize("more", [0, 1])
def test_sql_and_python_allow_the_same_length_of_a_payload(connection: psycopg.Connection, more: int) -> None:
    text = "x" * (PAYLOAD_BYTES - len('{"text": ""}') + more)
    session = new_session(connection)
    append = "SELECT sim_append_event(%s, NULL, 'note', jsonb_build_object('text', %s::text))"
    if more == 0:
        parse_event(0, "note", {"text": text + "x"})  # Python writes no blank behind the colon.
        connection.execute(append, (session, text))
        return
    with pytest.raises(BadInputError, match=str(PAYLOAD_BYTES)):
        parse_event(0, "note", {"text": text + "x"})
    with pytest.raises(psycopg.Error, match=str(PAYLOAD_BYTES)):
        connection.execute(append, (session, text))


def test_a_lock_key_depends_on_the_kind_and_on_each_name(any_database: Database) -> None:
    keys = any_database.query(
        """
        SELECT sim_lock_key('runner', 'a'), sim_lock_key('fetch', 'a'), sim_lock_key('runner', 'a', 'b'),
               sim_lock_key('runner', 'a:b'), sim_lock_key('runner', 'b', 'a'), sim_lock_key('runner', 'a,b')
        """
    )
    assert len(set(keys[0])) == 6


def test_every_advisory_lock_but_the_installers_takes_its_key_from_one_function() -> None:
    files = [*default_sources().objects("functions"), *PACKAGE.rglob("*.py")]
    hashed = {file.name for file in files if "hashtext" in file.read_text()}
    assert hashed == {"sim_lock_key.sql", "install.py"}
