"""An issuer of JWTs: real keys, a real JWKS, and a small HTTP server that publishes it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER, AUDIENCE = "https://issuer.example", "zeon"


def private_key(algorithm: str, name: str = "one") -> Any:
    """Return the private key of a name for an algorithm; the same one each time."""
    return _private_key(algorithm, name)


@cache
def _private_key(algorithm: str, name: str) -> Any:
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm.startswith("ES"):
        return ec.generate_private_key({"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1()}[algorithm])
    return rsa.generate_private_key(65537, 1024 if name == "short" else 2048)


def public_pem(algorithm: str, name: str = "one") -> bytes:
    public = private_key(algorithm, name).public_key()
    return bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def jwk(algorithm: str, name: str = "one", **changes: Any) -> dict[str, Any]:
    """Return a public key as an issuer publishes it."""
    public = private_key(algorithm, name).public_key()
    fields = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(public))
    return {**fields, "kid": f"{algorithm} {name}", "use": "sig", "alg": algorithm, **changes}


def jwks(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": keys})


def token(
    algorithm: str = "ES256",
    name: str = "one",
    *,
    key: Any = None,
    header: dict[str, Any] | None = None,
    without: tuple[str, ...] = (),
    **claims: Any,
) -> str:
    """Return a JWT that is valid for a minute, unless `claims` or `header` say something else."""
    now = int(time.time())
    all_claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "anna", "iat": now, "exp": now + 60, **claims}
    content = {name: value for name, value in all_claims.items() if name not in without}
    given = {"kid": f"{algorithm} {name}", **(header or {})}
    headers = {name: value for name, value in given.items() if value is not None}
    return jwt.encode(content, key or private_key(algorithm, name), algorithm=algorithm, headers=headers)


class JwksServer:
    """Publishes a JWKS. Set `content`, `status` or `delay_s` to change the next answers; `asked` counts them."""

    def __init__(self) -> None:
        self.content = jwks(jwk("ES256"))
        self.status = 200
        self.headers: dict[str, str] = {}
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = 0
        self.url = ""


@contextmanager
def jwks_server() -> Iterator[JwksServer]:
    """Run the server of an issuer on a free port until the block ends."""
    issuer = JwksServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            issuer.may_answer.wait(30)
            self.send_response(issuer.status)
            for name, value in issuer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(issuer.content.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer.url = f"http://127.0.0.1:{server.server_port}/jwks.json"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield issuer
        finally:
            issuer.may_answer.set()
            server.shutdown()
            thread.join()
