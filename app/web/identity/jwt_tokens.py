"""Check JWTs of one issuer: signature, issuer, audience and end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import jwt

from app.clock import Clock
from app.errors import UnauthorizedError
from app.settings import Settings
from app.web.identity.issuer_keys import IssuerKeys, issuer_keys
from app.web.identity.jwks import KEY_TYPES
from app.web.identity.user_id import is_user_id

LEEWAY_S = 60
"""How far the clocks of issuer and server may differ, in seconds."""
MAX_LENGTH = 8192
"""Longest JWT that is read, in characters."""

_REASONS: dict[type[jwt.InvalidTokenError], str] = {
    jwt.ExpiredSignatureError: "it has expired",
    jwt.ImmatureSignatureError: "it is not valid yet",
    jwt.InvalidAudienceError: "it is for another audience (aud)",
    jwt.InvalidIssuerError: "it is from another issuer (iss)",
    jwt.InvalidIssuedAtError: "its time of issue (iat) is not a number",
    jwt.InvalidSignatureError: "its signature is wrong",
}


class JwtUser(NamedTuple):
    """The user of a JWT, and when it ends, in ms UTC."""

    user_id: str
    until_ms: int


class JwtVerifier:
    """Checks the JWTs of `ZEON_JWT_ISSUER`."""

    def __init__(self, keys: IssuerKeys, clock: Clock, *, issuer: str, audience: str, user_claim: str) -> None:
        self._keys = keys
        self._clock = clock
        self._issuer = issuer
        self._audience = audience
        self._user_claim = user_claim

    async def user(self, token: str) -> JwtUser:
        """Return the user of a JWT; raises `UnauthorizedError` that says why not, or `IssuerAwayError`."""
        if len(token) > MAX_LENGTH:
            raise _refused(f"it is longer than {MAX_LENGTH} characters")
        key_id, algorithm = _header(token)
        key = await self._keys.find(key_id, algorithm)
        if key is None:
            raise _refused("it is signed with a key that its issuer does not publish")
        claims = self._claims(token, key, algorithm)
        user_id = claims.get(self._user_claim)
        if not is_user_id(user_id):
            raise _refused(f"its claim {self._user_claim} is not the id of a user")
        return JwtUser(user_id, self._end_ms(int(claims["exp"])))

    def _claims(self, token: str, key: jwt.PyJWK, algorithm: str) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.MissingRequiredClaimError as error:
            raise _refused(f"it has no claim {error.claim}") from None
        except jwt.InvalidTokenError as error:
            raise _refused(_REASONS.get(type(error), "it is malformed")) from None
        except (ValueError, TypeError, OverflowError):  # Times that are no times, such as 1e999.
            raise _refused("it is malformed") from None

    def _end_ms(self, exp: int) -> int:
        """Return when a JWT ends: at `exp`, or after the leeway if that has passed by the clock of this server."""
        exp_ms = exp * 1000
        return exp_ms if exp_ms > self._clock.now_ms() else exp_ms + LEEWAY_S * 1000


@asynccontextmanager
async def jwt_verifier(settings: Settings, clock: Clock) -> AsyncIterator[JwtVerifier]:
    """Open what checks the JWTs that the settings accept; raises `BadInputError` if the file of keys is unreadable."""
    async with issuer_keys(settings.jwt_jwks or "") as keys:
        yield JwtVerifier(
            keys,
            clock,
            issuer=settings.jwt_issuer or "",
            audience=settings.jwt_audience or "",
            user_claim=settings.jwt_user_claim,
        )


def _header(token: str) -> tuple[str | None, str]:
    """Return key id and algorithm of a JWT, before its signature is checked."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise _refused("it is malformed") from None
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in KEY_TYPES:
        raise _refused(f"its algorithm is not one of {', '.join(KEY_TYPES)}")
    return key_id, algorithm


def _refused(reason: str) -> UnauthorizedError:
    return UnauthorizedError(f"This JWT is not valid: {reason}.")
