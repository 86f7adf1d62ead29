"""What the writer takes into its next batch."""

from __future__ import annotations

import pytest

from app.db.pool import Database
from app.db.ticks import Tick
from app.engine.replay.writer import MAX_EVENTS, MAX_TICKS, Writer


@pytest.fixture
def writer() -> Writer:
    return Writer(Database("", size=1))


def tick(number: int, events: int) -> Tick:
    return Tick(str(number), 1, None, 0, "", events)


async def test_an_unpaced_parcel_goes_with_the_paced_ones_however_many_there_are(writer: Writer) -> None:
    for number in range(2 * MAX_TICKS):
        writer.append([tick(number, 3)])
    writer.append([tick(-1, MAX_EVENTS)], unpaced=True)
    batch = writer._collect()
    assert [parcel.unpaced for parcel in batch] == [False] * MAX_TICKS + [True]


async def test_unpaced_parcels_fill_a_batch_of_their_own_and_half_of_one_they_share(writer: Writer) -> None:
    for number in range(3 * MAX_TICKS):
        writer.append([tick(number, 1)], unpaced=True)
    assert len(writer._collect()) == MAX_TICKS
    writer.append([tick(-1, 1)])
    assert [parcel.unpaced for parcel in writer._collect()] == [False] + [True] * (MAX_TICKS // 2)


async def test_a_parcel_larger_than_a_batch_goes_alone(writer: Writer) -> None:
    for number in range(3):
        writer.append([tick(number, MAX_EVENTS + 1)])
    assert [len(writer._collect()) for _ in range(4)] == [1, 1, 1, 0]


async def test_it_is_crowded_while_paced_ticks_are_under_way(writer: Writer) -> None:
    assert not writer.crowded
    for unpaced, crowded in ((True, False), (False, True), (True, False)):
        writer.append([tick(1, 1)], unpaced=unpaced)
        writer._collect()
        assert writer.crowded == crowded
