"""Whether the server of this container answers: `python -m app.healthcheck` exits with 0 or 1."""

from __future__ import annotations

import http.client
import os
import socket
import sys

_TIMEOUT_S = 4


def main() -> int:
    """Ask /healthz at the port or Unix socket that the server listens on."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT") or 8000), timeout=_TIMEOUT_S)
    try:
        if path := os.environ.get("ZEON_SOCKET"):
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(_TIMEOUT_S)
            connection.sock.connect(path)
        connection.request("GET", "/healthz")
        return int(connection.getresponse().status != 200)
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(main())
