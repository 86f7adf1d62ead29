"""The client for programs without asyncio."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
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


class Client(Calls[Any]):
    """Calls a server and follows its sessions; use it as a context manager, or `close` it.

    `parse_float=Decimal` gives exact numbers instead of floats. A call that is refused because its user asks too much
    at once (429) waits and is repeated, for `patience_s` in all. `share` is the key of a share link, the part of its
    URL after `?share=`: with it the client reads that session only. Other options go to `httpx2.Client`. A refused call
    raises `ApiError`, a call without an answer `httpx2.TransportError`.
    """

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
        self._http = httpx2.Client(base_url=url, headers=headers, params=query, **{**DEFAULTS, **options})
        self._parse_float = parse_float
        self._patience_s = patience_s

    def events(self, session_id: str, from_seq: int = 1, *, types: str | None = None) -> Iterator[AnyEvent]:
        """Yield the events that are now in the log; `types` is a list such as `"candle,trade"`."""
        page = {"nextFromSeq": from_seq, "lastSeq": from_seq}
        while page["nextFromSeq"] <= page["lastSeq"]:
            query = without_none(fromSeq=page["nextFromSeq"], types=types, limit=5000)
            page = self._call("GET", f"{SESSIONS}/{session_id}/events", **query)
            yield from map(event_of, page["events"])

    def tail(
        self, session_id: str, from_seq: int = 1, *, types: str | None = None, silence_s: float = 40
    ) -> Iterator[AnyEvent]:
        """Yield every event of a log once and in order, and wait for new ones, until the session has ended.

        It reconnects without limit when the connection breaks, or when neither events nor heartbeats arrive for
        `silence_s`. Raises `ApiError` if a retry cannot help, for example if the session was deleted, and
        `LogShorterError` if the log has lost events that were received.
        """
        tail, path = LogPosition(from_seq, types, self._parse_float), f"{SESSIONS}/{session_id}/stream"
        while True:
            failure: Exception | None = None
            try:
                with self._http.stream("GET", path, params=tail.query(), timeout=silence_s) as response:
                    if not response.is_success:
                        response.read()
                    if not tail.is_stream(response):
                        return
                    for chunk in response.iter_bytes():
                        yield from tail.read(chunk)
            except (*RETRIED, ApiError) as error:
                failure = error
            time.sleep(tail.pause_s(failure))

    def export(self, session_id: str, to: str | Path, *, what: str = "events", as_: str = "ndjson") -> Path:
        """Write `events`, `trades` or `equity` to a file as `ndjson`, `csv` or `parquet`, and return its path."""
        query, path = {"what": what, "format": as_}, f"{SESSIONS}/{session_id}/export"
        patience = Patience(self._patience_s)
        while True:
            with self._http.stream("GET", path, params=query) as response:
                if response.is_success:
                    with Path(to).open("wb") as file:
                        file.writelines(response.iter_bytes())
                    return Path(to)
                response.read()
                if (pause_s := patience.pause_s(response)) is None:
                    raise ApiError(response)
            time.sleep(pause_s)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None, **query: Any
    ) -> Any:
        headers = {} if key is None else {"Idempotency-Key": key}
        patience = Patience(self._patience_s)
        while True:
            response = self._http.request(method, path, json=body, params=query, headers=headers)
            if (pause_s := patience.pause_s(response)) is None:
                return data_of(response, self._parse_float)
            time.sleep(pause_s)
