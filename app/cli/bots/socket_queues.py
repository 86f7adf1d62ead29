"""How many bytes wait in a TCP connection of this machine, from the kernel (sock_diag of Linux)."""

from __future__ import annotations

import socket
import struct

Address = tuple[str, int]
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBxI")
_ANY_COOKIE = b"\xff" * 8
_QUEUES = struct.Struct("=II")
_QUEUES_AT = _HEADER.size + 4 + 48 + 4
"""Behind the header, the state, the socket's addresses and its timer."""


class SocketQueues:
    """Asks the kernel for the queues of connections between addresses of IPv4."""

    def __init__(self) -> None:
        self._kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
        self._kernel.settimeout(1)

    def close(self) -> None:
        """Close the socket to the kernel."""
        self._kernel.close()

    def waiting(self, local: Address, remote: Address) -> int:
        """Return the bytes that a socket has not sent, and those that its program has not read; 0 if it is closed."""
        ends = struct.pack("!HH", local[1], remote[1])
        for host, _ in (local, remote):
            ends += socket.inet_aton(host).ljust(16, b"\0")
        request = _REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0xFFFFFFFF) + ends + b"\0" * 4 + _ANY_COOKIE
        size = _HEADER.size + len(request)
        self._kernel.send(_HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0) + request)
        answer = self._kernel.recv(4096)
        if _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
            return 0
        return sum(_QUEUES.unpack_from(answer, _QUEUES_AT))
