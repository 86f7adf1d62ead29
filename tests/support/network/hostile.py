"""Hostile clients, in a process of their own: `python -m tests.support.network.hostile URL SESSION COUNT SECONDS`.

Each opens one connection in the first two thirds of the time and leaves it only when the server closes it, or at the
end. Prints how many connections of each kind were opened, and the status lines they got.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from tests.support.network.raw import Raw, raw, request

_PAUSE_S = 0.5
_HUGE_BYTES = 200_000_000


class HostileClients:
    """All hostile clients of one server."""

    def __init__(self, url: str, session_id: str, seconds: float) -> None:
        self._url = url
        self._stream = request(f"/api/sim/sessions/{session_id}/stream")
        self._seconds = seconds
        self.opened: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.kinds: Sequence[Callable[[Raw], Awaitable[None]]] = (
            self.idle,
            self.slow,
            self.huge,
            self.many_lines,
            self.many_requests,
            self.never_reading,
        )

    async def blow(self, count: int) -> None:
        async with asyncio.TaskGroup() as group:
            for n in range(count):
                group.create_task(self._attack(n, self._seconds * 2 / 3 * n / count))

    async def _attack(self, n: int, after_s: float) -> None:
        kind = self.kinds[n % len(self.kinds)]
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(self._seconds):
                await asyncio.sleep(after_s)
                async with raw(self._url) as client:
                    self.opened[kind.__name__] += 1
                    await kind(client)

    async def idle(self, client: Raw) -> None:
        await self._note_answer(client)

    async def slow(self, client: Raw) -> None:
        async with client.sending(request("/healthz", "X: " + "x" * 1000), 1, _PAUSE_S):
            await self._note_answer(client)

    async def huge(self, client: Raw) -> None:
        piece = b"x" * 65_536
        sending = asyncio.ensure_future(_send_all(client, itertools.repeat(piece, _HUGE_BYTES // len(piece))))
        await self._note_answer(client)
        sending.cancel()

    async def many_lines(self, client: Raw) -> None:
        async with client.sending(b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 200, 6, 0.01):
            await self._note_answer(client)

    async def many_requests(self, client: Raw) -> None:
        async with client.sending(request("/nowhere") * 2_000, 65_536, 0):
            await self._note_answer(client)

    async def never_reading(self, client: Raw) -> None:
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(self._stream)
        await asyncio.sleep(self._seconds)

    async def _note_answer(self, client: Raw) -> None:
        line, _, _ = (await client.closed(self._seconds)).partition(b"\r\n")
        self.answers[line.decode()] += 1


async def _send_all(client: Raw, pieces: Iterable[bytes]) -> None:
    await client.send(b"GET / HTTP/1.1\r\nX: ")
    with suppress(ConnectionError):
        for piece in pieces:
            await client.send(piece)


async def main(url: str, session_id: str, count: str, seconds: str) -> None:
    assert urlsplit(url).hostname == "127.0.0.1"
    os.nice(10)  # What is measured is the server, not how a small machine shares its cores.
    storm = HostileClients(url, session_id, float(seconds))
    await storm.blow(int(count))
    print(json.dumps({"opened": storm.opened, "answers": storm.answers}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
