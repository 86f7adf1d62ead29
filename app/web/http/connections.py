"""The open connections of this process: how many there may be, which one makes room, and which one is too slow."""

from __future__ import annotations

import asyncio
import fcntl
import heapq
import itertools
import termios
from collections import deque
from dataclasses import dataclass
from typing import Protocol

_FEW = 64
"""How many entries of closed connections are no matter."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What the server allows connections. The figures that no setting changes are those of the HTTP contract."""

    most: int = 2000
    """Open connections of this process."""
    per_address: int = 256
    """Of those, connections of one address that have not sent a whole request yet."""
    over: int = 64
    """Connections beyond `most` that are read only to answer probes."""
    young_s: float = 1.0
    """Age below which a connection makes no room for another."""
    head_s: float = 10.0
    """Longest time from connecting, or from the first byte of a later request, to the end of its headers."""
    body_s: float = 30.0
    """Time in which a small body must arrive, and over which the speed of a larger one is measured."""
    body_bytes_per_s: int = 32_768
    idle_s: float = 75.0
    """How long a connection between two requests stays open."""
    write_s: float = 30.0
    """Time in which a client must take some of the answer that waits for it."""
    write_bytes: int = 65_536
    """How many bytes of it at least."""
    linger_s: float = 1.0
    """How long a connection whose request was refused stays open, so that the client can read why."""
    check_s: float = 0.25
    """Pause between two checks of all connections for those that are too slow."""


class Connection(Protocol):
    """What is to be known of a connection."""

    address: str
    opened_at: float
    silent_since: float
    """When the last byte came, or the last answer ended."""

    @property
    def answering(self) -> bool:
        """Whether an answer is under way."""

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
        self._open: set[Connection] = set()
        self._queue = _SilenceQueue(limits.young_s)
        self._by_address: dict[str, _SilenceQueue] = {}
        self._over: dict[Connection, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection) -> bool:
        """Let a connection in; false when it is one too many, so that only a probe may be answered on it."""
        now = connection.opened_at
        same_address = self._by_address.setdefault(connection.address, _SilenceQueue(self.limits.young_s))
        while len(same_address) >= self.limits.per_address and self._make_room(same_address, now):
            pass
        has_room = len(self._open) - len(self._over) < self.limits.most or self._make_room(self._queue, now)
        self._open.add(connection)
        self._by_address.setdefault(connection.address, same_address).add(connection)
        if has_room:
            self._queue.add(connection)
        else:
            self._add_over(connection)
        if self._timer is None:
            self._check()
        return has_room

    def discard(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        self._open.discard(connection)
        self._over.pop(connection, None)
        self._queue.discard(connection)
        self.request_came(connection)

    def request_came(self, connection: Connection) -> None:
        """Count a connection no longer among those of its address that have not sent a whole request."""
        if same_address := self._by_address.get(connection.address):
            same_address.discard(connection)
            if not len(same_address):
                del self._by_address[connection.address]

    def answer_ended(self, connection: Connection) -> None:
        """Let a connection make room again."""
        self._queue.restore(connection)

    def _add_over(self, connection: Connection) -> None:
        """Let a connection in beyond the cap. Another of these goes for it: a probe sends its request at once."""
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
        """Check all connections now and then, as long as there are any."""
        loop = asyncio.get_running_loop()
        for connection in tuple(self._open):
            connection.check(loop.time())
        self._timer = loop.call_later(self.limits.check_s, self._check) if self._open else None


class _SilenceQueue:
    """Connections ordered by how long they have been silent. An entry is corrected only when it comes to the front.

    Young connections wait in a line of their own, and those with an answer under way are set aside.
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
        """Take a connection back that was set aside."""
        if connection in self._answering:
            self._answering.discard(connection)
            heapq.heappush(self._silent, self._entry(connection.silent_since, connection))

    def pick(self, now: float) -> Connection | None:
        """Return the connection that has been silent longest and may make room."""
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
    """Whether bytes that came on a socket have not been read yet."""
    return fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)) != bytes(4)
