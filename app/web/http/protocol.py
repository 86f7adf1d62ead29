"""uvicorn's HTTP protocol with two differences: its own errors are JSON too, and a response can end the connection."""

from __future__ import annotations

import json

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol


class Protocol(HttpToolsProtocol):
    """One connection."""

    def on_message_begin(self) -> None:
        """Begin a request. Its state has two functions for responses.

        `abort` ends the connection and drops what waits to be written; `paused` says whether sending would wait for
        the client.
        """
        super().on_message_begin()
        self.scope["state"]["paused"] = self._write_paused
        self.scope["state"]["abort"] = self.transport.abort

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is not HTTP."""
        body = json.dumps({"error": msg}).encode()
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[400] + head + body)
        self.transport.close()

    def _write_paused(self) -> bool:
        return self.flow.write_paused
