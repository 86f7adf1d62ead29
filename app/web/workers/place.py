"""What the workers of one server share: a folder with the sockets of their metrics, and memory with their limits."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

MAX_WORKERS = 64
_LIMITERS = 3
_BUCKETS = 16_384
_BUCKET = struct.Struct("=Qdd")
"""A client's hash, the level of its bucket, and when that was: the monotonic clock, which all processes share."""
_BUCKET_BYTES = _BUCKETS * _BUCKET.size
_USERS = 8_192
_USER = struct.Struct(f"=Q{MAX_WORKERS}I")
"""A user's hash, and the number of their streams in each worker."""
_USERS_AT = _LIMITERS * _BUCKET_BYTES
_SIZE = _USERS_AT + _USERS * _USER.size
_KEY = struct.Struct("=Q")
_COUNT = struct.Struct("=I")
_NEAR = 8
"""Places in which a client or user may be."""


class WorkerPlace(NamedTuple):
    """The place of a worker among `total` of them: its number from 1 on, and their folder."""

    number: int
    total: int
    folder: Path

    def share(self, limit: int) -> int:
        """Return this worker's share of a limit, at least 1."""
        return max(1, -(-limit // self.total))

    def metrics_socket(self, number: int) -> Path:
        """Return where a worker answers with its own metrics."""
        return self.folder / f"metrics.{number}"


def create_memory(folder: Path) -> None:
    """Create the memory that all workers share."""
    with (folder / "limits").open("wb") as file:
        file.truncate(_SIZE)


class SharedMemory:
    """The limits of users over all workers. It has no lock: two calls at the same instant may count as one."""

    def __init__(self, place: WorkerPlace) -> None:
        with (place.folder / "limits").open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _SIZE)
        self._limiters = iter(range(_LIMITERS))
        self._number = place.number

    def new_buckets(self) -> SharedBuckets:
        """Return the buckets of the next rate limiter, the same ones in every worker."""
        return SharedBuckets(self._memory, next(self._limiters) * _BUCKET_BYTES)

    def stream_counts(self) -> SharedStreamCounts:
        """Return the counts of streams, without those of a worker that had this number before."""
        return SharedStreamCounts(self._memory, self._number)


class SharedBuckets:
    """The buckets of one rate limiter. A new client gets the place of the one that was seen longest ago."""

    def __init__(self, memory: mmap.mmap, start: int) -> None:
        self._memory = memory
        self._start = start

    def get(self, client: str) -> tuple[float, float] | None:
        """Return level and time of a client's bucket."""
        wanted = _key(client)
        return next(((level, at) for _, key, level, at in self._near(wanted) if key == wanted), None)

    def put(self, client: str, level: float, at: float) -> None:
        """Set level and time of a client's bucket."""
        wanted = _key(client)
        near = list(self._near(wanted))
        own = (place for place, key, _, _ in near if key == wanted)
        place = next(own, None)
        if place is None:
            place = min(near, key=lambda bucket: bucket[3])[0]
        _BUCKET.pack_into(self._memory, place, wanted, level, at)

    def _near(self, key: int) -> Iterator[tuple[int, int, float, float]]:
        for number in range(key, key + _NEAR):
            place = self._start + number % _BUCKETS * _BUCKET.size
            yield place, *_BUCKET.unpack_from(self._memory, place)


class SharedStreamCounts:
    """How many streams each user has in each worker. A worker writes only its own counts."""

    def __init__(self, memory: mmap.mmap, number: int) -> None:
        self._memory = memory
        self._number = number
        self._places: dict[str, int] = {}
        for row in range(_USERS):
            self._write(_USERS_AT + row * _USER.size, 0)

    def others(self, user: str) -> int:
        """Return how many streams a user has open in other workers."""
        wanted = _key(user)
        found = (counts for _, key, *counts in self._near(wanted) if key == wanted)
        counts = next(found, [0] * MAX_WORKERS)
        return sum(counts) - counts[self._number - 1]

    def put(self, user: str, count: int) -> None:
        """Record how many streams a user has open in this worker."""
        place = self._places.get(user) or self._place_for(_key(user))
        if place is None:  # All places are taken: the user is counted in each worker by itself.
            return
        self._places[user] = place
        self._write(place, count)
        if not count:
            del self._places[user]

    def _place_for(self, wanted: int) -> int | None:
        """Return the place of a user, or else a free one."""
        near = list(self._near(wanted))
        own = (place for place, key, *_ in near if key == wanted)
        free = (place for place, _, *counts in near if not any(counts))
        place = next(own, None) or next(free, None)
        if place is not None:
            _KEY.pack_into(self._memory, place, wanted)
        return place

    def _near(self, key: int) -> Iterator[tuple[int, ...]]:
        for number in range(key, key + _NEAR):
            place = _USERS_AT + number % _USERS * _USER.size
            yield place, *_USER.unpack_from(self._memory, place)

    def _write(self, place: int, count: int) -> None:
        _COUNT.pack_into(self._memory, place + _KEY.size + (self._number - 1) * _COUNT.size, count)


def _key(text: str) -> int:
    """Return a number for a name that is the same in every process, and not 0, which marks a free place."""
    return int.from_bytes(blake2b(text.encode(), digest_size=_KEY.size).digest(), "little") or 1
