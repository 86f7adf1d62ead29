"""Which client a request is from, and whether its peer may say so."""

import pytest

from app.settings import load
from app.web.http.client_address import Sender, TrustedProxies

PROXIES = TrustedProxies(load(trusted_proxies="10.0.0.5, 192.168.0.0/16,fd00::/8").trusted_proxies)


def client(peer: str, *headers: tuple[str, str]) -> Sender:
    return PROXIES.client(peer, [(name.encode(), value.encode()) for name, value in headers])


def test_anybody_else_is_the_client_whatever_its_headers_say() -> None:
    headers = (("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https"))
    for peer in ("10.0.0.6", "127.0.0.1", "2001:db8::1", "not an address"):
        assert client(peer, *headers) == Sender(peer, "http", False)
    assert TrustedProxies(()).client("127.0.0.1", [(b"x-forwarded-for", b"1.2.3.4")]).address == "127.0.0.1"


@pytest.mark.parametrize(
    ("forwarded_for", "address"),
    [
        (("1.2.3.4",), "1.2.3.4"),
        (("6.6.6.6, 1.2.3.4",), "1.2.3.4"),
        (("6.6.6.6", "1.2.3.4"), "1.2.3.4"),
        (("6.6.6.6, 1.2.3.4, 192.168.7.7",), "1.2.3.4"),
        (("1.2.3.4:5678",), "1.2.3.4"),
        (("[2001:db8::1]:443",), "2001:db8::1"),
        (("2001:db8::1",), "2001:db8::1"),
        (("::ffff:1.2.3.4",), "1.2.3.4"),
        (("1.2.3.4, unknown",), "10.0.0.5"),
        (("1.2.3.4, unknown, 192.168.7.7",), "192.168.7.7"),
        (("192.168.7.7",), "192.168.7.7"),
        (("",), "10.0.0.5"),
        ((), "10.0.0.5"),
    ],
)
def test_a_proxy_names_the_client_that_called_it(forwarded_for: tuple[str, ...], address: str) -> None:
    headers = [("x-forwarded-for", value) for value in forwarded_for]
    assert client("10.0.0.5", *headers) == Sender(address, "http", True)


def test_networks_mapped_addresses_and_unix_sockets_are_trusted() -> None:
    for peer in ("192.168.1.1", "::ffff:10.0.0.5", "fd12::1", ""):
        assert client(peer, ("x-forwarded-for", "1.2.3.4")) == Sender("1.2.3.4", "http", True)
    assert client("").address == ""


@pytest.mark.parametrize(
    ("said", "scheme"), [("https", "https"), ("HTTPS", "https"), ("http, https", "https"), ("ftp", "http")]
)
def test_a_proxy_names_the_scheme(said: str, scheme: str) -> None:
    assert client("10.0.0.5", ("x-forwarded-proto", said)).scheme == scheme
