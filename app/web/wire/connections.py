"""The open connections of this process: their number, which one is closed for a new one, and which is too slow."""

from __future__ import annotations

import asyncio
import fcntl
import heapq
import itertools
import termios
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from app.web.http.refusals import Refusals

_FEW = 64
"""How many entries of closed connections a queue may have."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of connections. Those without a setting are fixed by the HTTP contract."""

    max_open: int = 2000
    """Open connections of this process."""
    per_address: int = 256
    """Connections of one address that have not sent a whole request yet."""
    over: int = 64
    """Connections above `max_open`; they are read only to answer probes."""
    young_s: float = 1.0
    """Younger connections are not closed to make room."""
    head_s: float = 10.0
    """Time limit from the connect, or from the first byte of a later request, to the end of its headers."""
    body_s: float = 30.0
    """Time in which a small body must arrive, and over which the speed of a larger one is measured."""
    body_bytes_per_s: int = 32_768
    idle_s: float = 75.0
    """How long a connection between two requests stays open."""
    write_s: float = 30.0
    """Time in which a client must read at least `write_bytes` of a waiting answer."""
    write_bytes: int = 65_536
    """The bytes that a client must read in `write_s`."""
    linger_s: float = 1.0
    """How long a connection stays open after a refused request, so that the client can read the answer."""
    ping_s: float = 20.0
    """Pause between pings on a WebSocket."""
    pong_s: float = 60.0
    """How long the answer to a ping may take."""
    check_s: float = 0.25
    """Pause between two checks for connections that are too slow."""


class Connection(Protocol):
    """A connection, as `Connections` uses it."""

    address: str | None
    """The client's address; null while a trusted proxy has not named a client yet."""
    opened_at: float
    silent_since: float
    """When the last byte arrived, or the last answer ended."""

    @property
    def answering(self) -> bool:
        """Whether an answer is in progress."""

    def has_bytes(self) -> bool:
        """Whether bytes wait to be read from the client, or to be taken by it."""

    def end(self) -> None:
        """Close the connection without an answer."""

    def check(self, now: float) -> None:
        """End the connection if its client is too slow."""


class Connections:
    """Every open connection of this process."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.ended_for_room = 0
        self.refusals = Refusals()
        self._open: set[Connection] = set()
        self._queue = _SilenceQueue(limits.young_s)
        self._by_address: dict[str, _SilenceQueue] = {}
        self._over: dict[Connection, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection) -> bool:
        """Add a connection; false if there is one too many, so that it may only answer probes."""
        now = connection.opened_at
        self._make_room_of_address(connection.address, now)
        has_room = len(self._open) - len(self._over) < self.limits.max_open or self._make_room(self._queue, now)
        self._open.add(connection)
        self._count_address(connection)
        if has_room:
            self._queue.add(connection)
        else:
            self._add_over(connection)
        if self._timer is None:
            self._check()
        return has_room

    def discard(self, connection: Connection) -> None:
        """Remove a closed connection."""
        self._open.discard(connection)
        self._over.pop(connection, None)
        self._queue.discard(connection)
        self.request_came(connection)

    def client_named(self, connection: Connection, now: float) -> None:
        """Count a proxy's connection for the client that the headers of its request name."""
        self._make_room_of_address(connection.address, now)
        self._count_address(connection)

    def request_came(self, connection: Connection) -> None:
        """Record that a connection has sent a whole request."""
        address = connection.address
        if address is not None and (same_address := self._by_address.get(address)):
            same_address.discard(connection)
            if not len(same_address):
                del self._by_address[address]

    def answer_ended(self, connection: Connection) -> None:
        """Record that an answer has ended: the connection may be closed for another one again."""
        self._queue.restore(connection)

    def _count_address(self, connection: Connection) -> None:
        if connection.address is not None:
            queue = self._by_address.setdefault(connection.address, _SilenceQueue(self.limits.young_s))
            queue.add(connection)

    def _make_room_of_address(self, address: str | None, now: float) -> None:
        """Close connections of an address until one more may be opened."""
        same_address = None if address is None else self._by_address.get(address)
        while (
            same_address is not None
            and len(same_address) >= self.limits.per_address
            and self._make_room(same_address, now)
        ):
            pass

    def _add_over(self, connection: Connection) -> None:
        """Add a connection above the limit. It replaces a silent one of these: a probe sends its request at once."""
        self._over[connection] = None
        if len(self._over) > self.limits.over:
            silent = (old for old in self._over if not (old.answering or old.has_bytes()))
            self._end(next(silent, connection))

    def _make_room(self, queue: _SilenceQueue, now: float) -> bool:
        connection = queue.pick(now)
        if connection is not None:
            self._end(connection)
        return connection is not None

    def _end(self, connection: Connection) -> None:
        self.ended_for_room += 1
        self.discard(connection)
        connection.end()

    def _check(self) -> None:
        """Check all connections every `check_s` while there are any."""
        loop = asyncio.get_running_loop()
        for connection in tuple(self._open):
            connection.check(loop.time())
        self._timer = loop.call_later(self.limits.check_s, self._check) if self._open else None


class _SilenceQueue:
    """Connections ordered by how long they have been silent. An entry is updated only when it reaches the front.

    Young connections are in a separate queue, and those with an answer in progress in a separate set.
    """

    def __init__(self, young_s: float) -> None:
        self._young_s = young_s
        self._members: set[Connection] = set()
        self._young: deque[Connection] = deque()
        self._silent: list[tuple[float, int, Connection]] = []
        self._answering: set[Connection] = set()
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._members)

    def add(self, connection: Connection) -> None:
        self._members.add(connection)
        self._young.append(connection)

    def discard(self, connection: Connection) -> None:
        self._members.discard(connection)
        self._answering.discard(connection)
        if len(self._young) + len(self._silent) > 2 * len(self._members) + _FEW:
            self._forget_closed()

    def restore(self, connection: Connection) -> None:
        """Put a connection back into the queue after its answer."""
        if connection in self._answering:
            self._answering.discard(connection)
            heapq.heappush(self._silent, self._entry(connection.silent_since, connection))

    def pick(self, now: float) -> Connection | None:
        """Return the connection that has been silent longest and may be closed."""
        self._grow_up(now)
        while self._silent and self._silent[0][0] < now:
            since, _, connection = self._silent[0]
            if connection not in self._members:
                heapq.heappop(self._silent)
            elif connection.answering:
                heapq.heappop(self._silent)
                self._answering.add(connection)
            elif connection.silent_since > since:
                heapq.heapreplace(self._silent, self._entry(connection.silent_since, connection))
            elif connection.has_bytes():
                heapq.heapreplace(self._silent, self._entry(now, connection))
            else:
                return connection
        return None

    def _grow_up(self, now: float) -> None:
        """Move connections that are no longer young."""
        while self._young and now - self._young[0].opened_at >= self._young_s:
            connection = self._young.popleft()
            if connection in self._members:
                heapq.heappush(self._silent, self._entry(connection.silent_since, connection))

    def _entry(self, since: float, connection: Connection) -> tuple[float, int, Connection]:
        return since, next(self._numbers), connection

    def _forget_closed(self) -> None:
        self._young = deque(connection for connection in self._young if connection in self._members)
        self._silent = [entry for entry in self._silent if entry[2] in self._members]
        heapq.heapify(self._silent)


def has_unread_bytes(descriptor: int) -> bool:
    """Whether a socket has received bytes that have not been read."""
    return fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)) != bytes(4)
