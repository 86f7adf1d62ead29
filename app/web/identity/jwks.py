"""Read a JWKS: the public keys that an issuer of JWTs publishes at an address or in a file."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from app.errors import BadInputError

KeyType = Literal["RSA", "EC", "OKP"]
KEY_TYPES: Mapping[str, KeyType] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    "EdDSA": "OKP",
}
"""The algorithms that are accepted, all of them asymmetric, with the type of their keys."""

_PUBLIC_FIELDS: Mapping[KeyType, tuple[str, ...]] = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_MIN_RSA_BITS = 2048
_MAX_BYTES = 1 << 20
_MAX_KEYS = 100


class Key(NamedTuple):
    """A public key of the issuer. `algorithm` is the only one it may be used with, null for any of its type."""

    id: str | None
    type: KeyType
    algorithm: str | None
    fields: dict[str, str]

    def fits(self, key_id: str | None, algorithm: str) -> bool:
        """Whether a token with this header may be signed with this key."""
        same = key_id is None or self.id == key_id
        return same and self.type == KEY_TYPES[algorithm] and self.algorithm in (None, algorithm)


class UnreadableKeysError(Exception):
    """The keys cannot be read; the text says why."""


def parse_keys(content: bytes) -> list[Key]:
    """Return the keys for signatures in a JWKS, without private parts; raises `UnreadableKeysError` without any."""
    try:
        listed = json.loads(content)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UnreadableKeysError("it is not a JWKS: a JSON object with a list `keys`") from None
    entries = listed if isinstance(listed, list) else []
    keys = [key for key in map(_key, entries[:_MAX_KEYS]) if key is not None]
    if not keys:
        raise UnreadableKeysError(f"it has no public key for any of {', '.join(KEY_TYPES)}")
    return keys


def _key(entry: Any) -> Key | None:
    """Return a key of a JWKS; null for one that is not for checking signatures, or is malformed or too short."""
    if not isinstance(entry, dict) or entry.get("kty") not in _PUBLIC_FIELDS:
        return None
    if entry.get("use", "sig") != "sig" or "verify" not in entry.get("key_ops", ["verify"]):
        return None
    algorithm, kind = entry.get("alg"), entry["kty"]
    if algorithm is not None and KEY_TYPES.get(algorithm if isinstance(algorithm, str) else "") != kind:
        return None
    fields = {"kty": kind, **{name: entry.get(name) for name in _PUBLIC_FIELDS[kind]}}
    try:
        key = jwt.PyJWK(fields, algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        return None
    if isinstance(key, RSAPublicKey) and key.key_size < _MIN_RSA_BITS:
        return None
    return Key(entry.get("kid"), kind, algorithm, fields)


def read_keys(source: str, timeout_s: float) -> list[Key]:
    """Read the keys of an address or file; raises `UnreadableKeysError`, which names it."""
    where = source[:200]
    try:
        return parse_keys(_file_content(source) if is_file(source) else _answer(source, timeout_s))
    except UnreadableKeysError as error:
        raise UnreadableKeysError(f"{where}: {error}") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise UnreadableKeysError(f"{where} cannot be read: {reason}") from None


def is_file(source: str) -> bool:
    """Whether a source is a file and not an address."""
    return urlsplit(source).scheme.lower() not in ("http", "https")


def _file_content(source: str) -> bytes:
    path = Path(source).expanduser()
    if path.exists() and not path.is_file():  # Reading a pipe could wait for ever.
        raise UnreadableKeysError("it is not a file")
    with path.open("rb") as file:
        return _limited(file.read(_MAX_BYTES + 1))


def _answer(address: str, timeout_s: float) -> bytes:
    """Return the answer of an address; raises `UnreadableKeysError` if it takes longer than `timeout_s` in all."""
    until_s = time.monotonic() + timeout_s
    opener = urllib.request.build_opener(_NoRedirects, *_proxies(address))
    content = b""
    with opener.open(address, timeout=timeout_s) as answer:
        while part := answer.read1(65_536):
            content = _limited(content + part)
            if time.monotonic() > until_s:
                raise UnreadableKeysError(f"it took longer than {timeout_s:g} s")
    return content


def _limited(content: bytes) -> bytes:
    if len(content) > _MAX_BYTES:
        raise UnreadableKeysError(f"it is larger than {_MAX_BYTES} bytes")
    return content


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects, which could lead from https:// to another place."""

    def redirect_request(self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str) -> None:
        raise UnreadableKeysError(f"it redirects to {newurl[:200]}; name that address")


def _proxies(address: str) -> list[urllib.request.BaseHandler]:
    """Return a handler that uses no proxy for an address of this machine; for others the environment counts."""
    return [urllib.request.ProxyHandler({})] if _is_loopback(address) else []


def require_safe_address(source: str) -> None:
    """Raise `BadInputError` for an address whose answer others on the way could change."""
    if urlsplit(source).scheme.lower() == "http" and not _is_loopback(source):
        raise BadInputError("ZEON_JWT_JWKS: must begin with https://, or be an address of this machine or a file.")


def _is_loopback(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
