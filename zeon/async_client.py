"""The client for asyncio programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from pathlib import Path
from typing import Any, Self

import httpx2

from zeon.events import AnyEvent, event_of
from zeon.protocol import (
    DEFAULTS,
    PATIENCE_S,
    RETRIED,
    SESSIONS,
    ApiError,
    Calls,
    LogPosition,
    Parse,
    Patience,
    data_of,
    without_none,
)


class AsyncClient(Calls[Awaitable[Any]]):
    """Like `Client`, with the same options; await its calls and read its iterators with `async for`."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        token: str | None = None,
        parse_float: Parse = float,
        patience_s: float = PATIENCE_S,
        share: str | None = None,
        **options: Any,
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        query = {"share": share} if share else {}
        self._http = httpx2.AsyncClient(base_url=url, headers=headers, params=query, **{**DEFAULTS, **options})
        self._parse_float = parse_float
        self._patience_s = patience_s

    async def events(self, session_id: str, from_seq: int = 1, *, types: str | None = None) -> AsyncIterator[AnyEvent]:
        """Yield the events that are now in the log."""
        page = {"nextFromSeq": from_seq, "lastSeq": from_seq}
        while page["nextFromSeq"] <= page["lastSeq"]:
            query = without_none(fromSeq=page["nextFromSeq"], types=types, limit=5000)
            page = await self._call("GET", f"{SESSIONS}/{session_id}/events", **query)
            for event in page["events"]:
                yield event_of(event)

    async def tail(
        self, session_id: str, from_seq: int = 1, *, types: str | None = None, silence_s: float = 40
    ) -> AsyncIterator[AnyEvent]:
        """Yield every event of a log in order until the session has ended, like `Client.tail`."""
        tail, path = LogPosition(from_seq, types, self._parse_float), f"{SESSIONS}/{session_id}/stream"
        while True:
            failure: Exception | None = None
            try:
                async with self._http.stream("GET", path, params=tail.query(), timeout=silence_s) as response:
                    if not response.is_success:
                        await response.aread()
                    if not tail.is_stream(response):
                        return
                    async for chunk in response.aiter_bytes():
                        for event in tail.read(chunk):
                            yield event
            except (*RETRIED, ApiError) as error:
                failure = error
            await asyncio.sleep(tail.pause_s(failure))

    async def export(self, session_id: str, to: str | Path, *, what: str = "events", as_: str = "ndjson") -> Path:
        """Write `events`, `trades` or `equity` to a file as `ndjson`, `csv` or `parquet`, and return its path."""
        query, path = {"what": what, "format": as_}, f"{SESSIONS}/{session_id}/export"
        patience = Patience(self._patience_s)
        while True:
            async with self._http.stream("GET", path, params=query) as response:
                if response.is_success:
                    with Path(to).open("wb") as file:  # noqa: ASYNC230 - opening takes no time worth a thread
                        async for chunk in response.aiter_bytes():
                            await asyncio.to_thread(file.write, chunk)
                    return Path(to)
                await response.aread()
                if (pause_s := patience.pause_s(response)) is None:
                    raise ApiError(response)
            await asyncio.sleep(pause_s)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None, **query: Any
    ) -> Any:
        headers = {} if key is None else {"Idempotency-Key": key}
        patience = Patience(self._patience_s)
        while True:
            response = await self._http.request(method, path, json=body, params=query, headers=headers)
            if (pause_s := patience.pause_s(response)) is None:
                return data_of(response, self._parse_float)
            await asyncio.sleep(pause_s)
