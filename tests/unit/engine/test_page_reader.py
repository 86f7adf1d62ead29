"""Group reads: every request for a page is answered, whenever it comes."""

import asyncio
from uuid import UUID

import pytest

from app.db.log.events import StreamPosition
from app.db.pool import Database
from app.engine.streaming import page_reader as group_reads
from app.engine.streaming.page_reader import PageReader, PageResult
from app.errors import UnavailableError

PLACE = StreamPosition(UUID(int=1), 0)
TWO_CALLS = group_reads._MAX_PAGES + 1
"""So many pages asked for at once need two calls."""


@pytest.mark.parametrize("rounds", range(6))
async def test_a_page_requested_around_the_end_of_both_calls_under_way_is_read(rounds: int) -> None:
    reader = PageReader(Database("", size=1))  # Never opened: every call fails at once, both in one round of the loop.
    loop = asyncio.get_running_loop()
    answers: list[asyncio.Future[PageResult]] = [loop.create_future() for _ in range(TWO_CALLS)]
    late: asyncio.Future[PageResult] = loop.create_future()

    def ask_after(more: int) -> None:
        if more:
            loop.call_soon(ask_after, more - 1)
        else:
            reader.read(PLACE, late.set_result)

    answers[0].add_done_callback(lambda _: ask_after(rounds))
    for answer in answers:
        reader.read(PLACE, answer.set_result)
    async with asyncio.timeout(5):
        results = await asyncio.gather(*answers, late)
    assert {type(result) for result in results} == {UnavailableError}
