"""The client of a request: the peer of the connection or, behind a trusted proxy, the client that the proxy names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

from starlette.types import Scope

Network = IPv4Network | IPv6Network
_SCHEMES = ("http", "https")
_REMEMBERED = 10_000


class Sender(NamedTuple):
    """Who sent a request: its address (empty on a Unix socket) and its scheme, `http` or `https`.

    `via_trusted_proxy` says that the peer of the connection is in `ZEON_TRUSTED_PROXIES` or on a Unix socket, so that
    other headers of the request that a proxy sets may be believed too.
    """

    address: str
    scheme: str
    via_trusted_proxy: bool


def request_sender(scope: Scope) -> Sender:
    """Return the client of a request; the server has stored it in the request's state."""
    client: Sender = scope["state"]["client"]
    return client


class TrustedProxies:
    """The proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)
        self.trusts = lru_cache(_REMEMBERED)(self._trusts)

    def client(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> Sender:
        """Return the client of a request from a peer; an empty peer is a Unix socket. Header names are lower case."""
        if not self.trusts(peer):
            return Sender(peer, "http", False)
        forwarded_for, schemes = [], []
        for name, value in headers:
            if name == b"x-forwarded-for":
                forwarded_for += value.decode("latin1").split(",")
            elif name == b"x-forwarded-proto":
                schemes += value.decode("latin1").split(",")
        scheme = schemes[-1].strip().lower() if schemes else "http"
        return Sender(self._last_untrusted(peer, forwarded_for), scheme if scheme in _SCHEMES else "http", True)

    def _last_untrusted(self, peer: str, forwarded_for: Sequence[str]) -> str:
        """Return the last address that no trusted proxy has: each proxy appends the address that it was called from.

        What stands before that address is the client's own word.
        """
        address = peer
        for text in reversed(forwarded_for):
            parsed = _parse(text)
            if parsed is None:
                break
            address = str(parsed)
            if not self.trusts(address):
                break
        return address

    def _trusts(self, peer: str) -> bool:
        address = _parse(peer) if peer else None
        return not peer or (address is not None and any(address in network for network in self._networks))


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """Parse an address, also with a port; an IPv4 address that is written as an IPv6 one is returned as IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
