"""The public keys of the issuer of JWTs: read from a JWKS, kept, and read again when they change."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import jwt

from app.errors import BadInputError, IssuerAwayError
from app.tasks import cancel_and_wait
from app.web.identity.jwks import Key, UnreadableKeysError, is_file, read_keys, require_safe_address

_STALE_S = 24 * 3600.0
"""How long keys are used after the last time they could be read."""

_log = logging.getLogger(__name__)


class ReadLimits(NamedTuple):
    """How often the keys are read, in seconds.

    They are read again after `max_age_s`, and at once for a token that names an unknown key: `at_once` times, and then
    once per `pause_s`. `timeout_s` is how long reading may take.
    """

    max_age_s: float = 600
    pause_s: float = 30
    at_once: int = 3
    timeout_s: float = 5


_LIMITS = ReadLimits()


class IssuerKeys:
    """The keys of one issuer. Reading them never blocks the event loop, and happens once for all who wait."""

    def __init__(self, source: str, limits: ReadLimits = _LIMITS, now: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._limits = limits
        self._now = now
        self._keys: list[Key] = []
        self._prepared: dict[tuple[str | None, str], jwt.PyJWK | None] = {}
        self._read_at = -_STALE_S
        self._tried_at = -_STALE_S
        self._allowance = (float(limits.at_once), now())
        self._failed = True
        self._reading: asyncio.Task[None] | None = None
        self.reads = 0

    async def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        """Return the key for a token's header; null if the issuer has none, or several and the token names none.

        Raises `IssuerAwayError` if that cannot be known because the keys cannot be read.
        """
        self._refresh_old()
        if self._now() - self._read_at > _STALE_S:
            self._keys, self._prepared = [], {}
        key = self._prepare(key_id, algorithm)
        if key is None and await self._read_again():
            key = self._prepare(key_id, algorithm)
        if key is None and self._failed:
            raise IssuerAwayError()
        return key

    async def read(self) -> None:
        """Read the keys; raises `UnreadableKeysError`."""
        self.reads += 1
        self._tried_at = self._now()
        try:
            self._keys = await asyncio.to_thread(read_keys, self._source, self._limits.timeout_s)
        except UnreadableKeysError:
            self._failed = True
            raise
        self._prepared, self._failed, self._read_at = {}, False, self._now()

    async def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            await cancel_and_wait([self._reading])

    def _prepare(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        """Return the only key that fits, ready for use."""
        fitting = [key for key in self._keys if key.fits(key_id, algorithm)]
        if len(fitting) != 1:
            return None
        name = (key_id, algorithm)
        if name not in self._prepared:
            try:
                self._prepared[name] = jwt.PyJWK(dict(fitting[0].fields), algorithm)
            except jwt.PyJWTError:  # Such as ES384 for a key of the curve P-256.
                self._prepared[name] = None
        return self._prepared[name]

    def _refresh_old(self) -> None:
        """Start reading keys that are old, while they are still used."""
        now = self._now()
        if now - self._read_at > self._limits.max_age_s and now - self._tried_at > self._limits.pause_s:
            self._start()

    async def _read_again(self) -> bool:
        """Read the keys for a token that names an unknown one; false if that was done too often."""
        if self._reading is None or self._reading.done():
            if not self._may_read():
                return False
            self._start()
        assert self._reading is not None
        await asyncio.wait([self._reading])
        return True

    def _may_read(self) -> bool:
        left, at = self._allowance
        now = self._now()
        left = min(float(self._limits.at_once), left + (now - at) / self._limits.pause_s)
        self._allowance = (left - 1 if left >= 1 else left, now)
        return left >= 1

    def _start(self) -> None:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_or_warn())

    async def _read_or_warn(self) -> None:
        try:
            await self.read()
        except UnreadableKeysError as error:
            _log.warning("ZEON_JWT_JWKS: %s; the keys read before stay in use", error)


@asynccontextmanager
async def issuer_keys(source: str, limits: ReadLimits = _LIMITS) -> AsyncIterator[IssuerKeys]:
    """Open the keys of `ZEON_JWT_JWKS`. A file must be readable now; an address may be away, and is asked again.

    Raises `BadInputError`.
    """
    keys = IssuerKeys(source, limits)
    if not is_file(source):
        require_safe_address(source)
    try:
        await keys.read()
    except UnreadableKeysError as error:
        if is_file(source):
            raise BadInputError(f"ZEON_JWT_JWKS: {error}.") from None
        _log.warning("ZEON_JWT_JWKS: %s; JWTs are answered with 503 until it works", error)
    try:
        yield keys
    finally:
        await keys.close()
