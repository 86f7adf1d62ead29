"""What the writer takes into its next batch."""

from __future__ import annotations

import pytest

from app.db.log.chunks import Chunk
from app.db.pool import Database
from app.engine.replay.writer import MAX_CHUNKS, MAX_EVENTS, Writer
from app.metrics import EngineMetrics


@pytest.fixture
def writer() -> Writer:
    return Writer(Database("", size=1), EngineMetrics())


def chunk(number: int, events: int) -> Chunk:
    return Chunk(str(number), 1, None, 0, "", events)


async def test_an_unpaced_chunk_goes_with_the_paced_ones_however_many_there_are(writer: Writer) -> None:
    for number in range(2 * MAX_CHUNKS):
        writer.append(chunk(number, 3))
    writer.append(chunk(-1, MAX_EVENTS), unpaced=True)
    batch = writer._next_batch()
    assert [item.unpaced for item in batch] == [False] * MAX_CHUNKS + [True]


async def test_unpaced_chunks_fill_a_batch_of_their_own_and_half_of_one_they_share(writer: Writer) -> None:
    for number in range(3 * MAX_CHUNKS):
        writer.append(chunk(number, 1), unpaced=True)
    assert len(writer._next_batch()) == MAX_CHUNKS
    writer.append(chunk(-1, 1))
    assert [item.unpaced for item in writer._next_batch()] == [False] + [True] * (MAX_CHUNKS // 2)


async def test_a_chunk_larger_than_a_batch_goes_alone(writer: Writer) -> None:
    for number in range(3):
        writer.append(chunk(number, MAX_EVENTS + 1))
    assert [len(writer._next_batch()) for _ in range(4)] == [1, 1, 1, 0]


async def test_unpaced_sessions_see_whether_the_batch_under_way_holds_paced_chunks(writer: Writer) -> None:
    assert not writer.has_paced
    for unpaced, has_paced in ((True, False), (False, True), (True, False)):
        writer.append(chunk(1, 1), unpaced=unpaced)
        writer._next_batch()
        assert writer.has_paced == has_paced
