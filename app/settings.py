"""Every setting of the project, read from the environment."""

from __future__ import annotations

import logging
import os
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from socket import gethostname
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.domain.market.symbol import normalize_venue
from app.errors import BadInputError

_log = logging.getLogger(__name__)

PREFIX = "ZEON_"
UNPREFIXED = ("DATABASE_URL", "HOST", "PORT")
AuthMethod = Literal["none", "token", "jwt", "proxy"]
_MAX_TYPO_DISTANCE = 2
"""A variable this many letters away from a setting's name counts as a typo."""
_PORTS = {"http": ":80", "https": ":443"}

_QUOTES = (
    "USDT",
    "USDC",
    "FDUSD",
    "TUSD",
    "BUSD",
    "DAI",
    "USD",
    "EUR",
    "GBP",
    "JPY",
    "TRY",
    "BRL",
    "BTC",
    "ETH",
    "BNB",
)


def _unprefixed(name: str) -> AliasChoices:
    """Read a field from a variable without the prefix; in Python it has its own name."""
    return AliasChoices(name, name.lower())


def default_runner(values: dict[str, Any]) -> str:
    """Return the default runner name: machine, and port or socket."""
    return f"{gethostname()}:{values.get('socket') or values.get('port')}"


class Settings(BaseSettings):
    """All settings; each description is the text of its row in docs/operating/settings.md."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    database_url: str | None = Field(
        None,
        repr=False,
        validation_alias=_unprefixed("DATABASE_URL"),
        description="Postgres 15 or newer, serving role; unset: embedded Postgres under `ZEON_DATA_DIR`",
    )
    migrate_url: str | None = Field(
        None, repr=False, description="the role that owns the tables, for migrations; unset: `DATABASE_URL`"
    )
    listen_url: str | None = Field(
        None,
        description="direct connection for LISTEN behind PgBouncer; unset: `DATABASE_URL`",
    )
    data_dir: Path = Field(Path(".zeon"), description="folder of the embedded Postgres")
    pg_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="port of 127.0.0.1 on which the embedded Postgres listens too, with a password; "
        "`zeon dsn` prints the address; unset: only its socket",
    )
    host: str = Field(
        "127.0.0.1",
        validation_alias=_unprefixed("HOST"),
        description="address to listen on; beyond loopback only with a `ZEON_AUTH` other than `none`",
    )
    root_path: str = Field(
        "",
        pattern="^(/[A-Za-z0-9._~-]+)*$",
        description="path of a proxy below which this server is reached, such as `/zeon`; unset: the root",
    )
    port: int = Field(8000, ge=0, le=65535, validation_alias=_unprefixed("PORT"), description="port to listen on")
    socket: Path | None = Field(
        None,
        description="file of a Unix socket to listen on instead of `HOST` and `PORT`, for a proxy on this machine: "
        "only the server's user and group may connect",
    )
    auth: Annotated[tuple[AuthMethod, ...], NoDecode] = Field(
        ("none",), description="`none` (loopback only), or any of `token`, `jwt` and `proxy`, separated by commas"
    )
    jwt_jwks: str | None = Field(
        None,
        min_length=1,
        description="keys of the issuer of JWTs, a JWKS: an https:// address or a file; for `ZEON_AUTH=jwt`",
    )
    jwt_issuer: str | None = Field(None, min_length=1, description="issuer that JWTs must name (`iss`)")
    jwt_audience: str | None = Field(None, min_length=1, description="audience that JWTs must name (`aud`)")
    jwt_user_claim: str = Field("sub", min_length=1, description="claim of a JWT that is the user's id")
    proxy_user_header: str | None = Field(
        None,
        pattern="^[A-Za-z0-9-]{1,100}$",
        description="header in which a trusted proxy names the user; for `ZEON_AUTH=proxy`",
    )
    user: str = Field("local", min_length=1, description="user the command line acts for")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="host names besides loopback that requests may name, separated by commas"
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="origins whose pages may call this server with credentials, separated by commas, such as "
        "`http://localhost:5173`",
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (),
        description="addresses and networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed, "
        "separated by commas, such as `10.0.0.5` or `10.0.0.0/8`",
    )
    venue: str = Field("binance", min_length=1, description="venue of sessions that do not name one")
    quotes: Annotated[tuple[str, ...], NoDecode] = Field(
        _QUOTES,
        description="quotes by which symbols are split for bots, separated by commas; the longest at the end counts",
    )
    strict_timestamps: bool = Field(False, description="refuse timestamps of bots that fit neither clock")
    sources: str = Field(
        "",
        description="sources of candles: `venue=kind:argument`, separated by spaces; "
        "a venue without a source uses the cache only",
    )
    calendars: str = Field(
        "", description="trading hours of venues: `venue=XNYS`, separated by spaces; closed hours are then no gaps"
    )
    runner: str = Field(
        default_factory=default_runner,
        min_length=1,
        description="name of this process among those that share the database; unset: `hostname:PORT`, or the socket's "
        "name",
    )
    on_orphan: Literal["pause", "resume"] = Field(
        "pause", description="what happens to sessions whose process died: `pause` or `resume`"
    )
    strategies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="user strategies: folders of .py files and `module:Class`, separated by commas"
    )
    children: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="processes that run user strategies; slow strategies get more; unset: one per core",
    )
    candle_timeout_ms: int = Field(1000, ge=1, description="longest time a user strategy may take for a candle")
    strategy_memory_mb: int = Field(
        512, ge=1, description="most memory a process of user strategies may take, in megabytes"
    )
    strategy_processes: int = Field(
        32, ge=0, description="most processes that the strategies of one process may have started at a time"
    )
    strategy_file_mb: int = Field(100, ge=1, description="largest file a strategy may write, in megabytes")
    strategy_output_kb: int = Field(
        64, ge=1, le=1000, description="most output of a strategy process that is logged per minute, in kilobytes"
    )
    strategy_env: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="further environment variables that strategies may see, separated by commas; never settings of "
        "this server or of Postgres",
    )
    sandbox: Literal["none", "bwrap"] = Field(
        "none",
        description="`bwrap` runs strategies under bubblewrap: without network, with a read-only view of Python, "
        "system libraries and the folders of `ZEON_STRATEGIES`",
    )
    sandbox_paths: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="further files and folders that strategies under bubblewrap can read, separated by commas"
    )
    max_slots: int = Field(
        5_000_000, ge=1, description="most slots in a session's range, times the number of its symbols"
    )
    max_slot_bytes: int = Field(1_048_576, ge=1, description="most bytes of events that a strategy writes at a candle")
    max_fork: int = Field(1_000_000, ge=1, description="most events that a fork copies")
    user_sessions: int | None = Field(
        None, ge=0, description="sessions a user may keep, 0 for any number; unset: 10,000, or 0 with `ZEON_AUTH=none`"
    )
    user_events: int | None = Field(
        None,
        ge=0,
        description="events a user may keep, 0 for any number; unset: 100,000,000, or 0 with `ZEON_AUTH=none`",
    )
    user_bytes: int | None = Field(
        None,
        ge=0,
        description="bytes a user may keep, 0 for any number; unset: 50,000,000,000, or 0 with `ZEON_AUTH=none`",
    )
    max_running: int = Field(1000, ge=1, description="most running sessions per user")
    max_streams: int = Field(1000, ge=1, description="most open streams of a process")
    user_streams: int | None = Field(
        None, ge=1, description="most open streams per user; unset: 1000, or 100 unless `ZEON_AUTH=none`"
    )
    heavy: int = Field(
        2, ge=1, description="most calls at once per user that read much of a log; the next one waits up to 10 s"
    )
    max_connections: int | None = Field(
        None, ge=1, description="most open connections; unset: as many as open files allow, less some for Postgres"
    )
    address_connections: int = Field(
        256, ge=1, description="most connections of one address that have not sent a whole request yet"
    )
    rate: int = Field(200, ge=1, description="requests per second and user; of calls without a user per address")
    burst: int = Field(1000, ge=1, description="requests that may be made at once before `ZEON_RATE` limits it")
    max_body: int = Field(262_144, ge=1, description="most bytes in a request body")
    max_import: int = Field(67_108_864, ge=1, description="most bytes in a file of candles imported over HTTP")
    max_config: int = Field(16_384, ge=1, description="most bytes in a session's config")
    max_depth: int = Field(32, ge=1, description="most levels of nesting in a request body")
    heartbeat_ms: int = Field(15_000, ge=10, description="pause between heartbeats on a stream")
    write_timeout_ms: int = Field(
        30_000, ge=10, description="longest time an answer or a stream waits for a client to read"
    )
    poll_ms: int = Field(5000, ge=10, description="fallback polling interval, in case notifications are lost")
    renew_ms: int = Field(3000, ge=10, description="how often this process renews its sign of life")
    runner_ttl_ms: int = Field(
        15_000, ge=30, description="time without a sign of life after which a process counts as dead"
    )
    pool_size: int = Field(8, ge=2, description="database connections for requests, and as many for ticks and streams")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="minimum log level: `debug`, `info`, `warning` or `error`"
    )
    log_format: Literal["auto", "text", "json"] = Field(
        "auto", description="form of the log: `text`, `json`, or `auto`: text on a terminal, JSON elsewhere"
    )

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, values: Any) -> Any:
        """Read addresses and networks from the list that `_split` returns; pydantic calls the later validator first."""
        return tuple(_network(value) for value in values)

    @field_validator(
        *("allowed_hosts", "allowed_origins", "auth", "trusted_proxies", "quotes"),
        *("strategies", "strategy_env", "sandbox_paths"),
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        """Read a comma-separated list."""
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("allowed_origins")
    @classmethod
    def _as_browsers_send(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        """Normalize origins to the form that browsers send."""
        return tuple(_origin(value) for value in values)

    @field_validator("strategy_env")
    @classmethod
    def _no_secrets(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse variables with the server's own settings and the database's password."""
        for value in values:
            if value.startswith((PREFIX, "PG", "DATABASE_URL")):
                raise ValueError(f"{value} is a setting of the server and is not given to strategies")
        return values

    @field_validator("venue")
    @classmethod
    def _normalize(cls, value: str) -> str:
        """Normalize the venue as requests do."""
        try:
            return normalize_venue(value)
        except BadInputError as error:
            raise ValueError(error.message.partition(": ")[2]) from None

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        """Accept a level in upper or lower case."""
        return value.lower() if isinstance(value, str) else value

    @field_validator("auth")
    @classmethod
    def _one_or_more(cls, values: tuple[AuthMethod, ...]) -> tuple[AuthMethod, ...]:
        """Refuse `none` beside other methods."""
        if not values or ("none" in values and len(values) > 1):
            raise ValueError("must be none, or any of token, jwt and proxy, separated by commas")
        return values

    @model_validator(mode="after")
    def _methods_are_complete(self) -> Settings:
        """Refuse a method of `ZEON_AUTH` without the settings it needs."""
        needed = {"jwt": ("jwt_jwks", "jwt_issuer", "jwt_audience"), "proxy": ("proxy_user_header",)}
        for method in self.auth:
            for name in needed.get(method, ()):
                if getattr(self, name) is None:
                    raise ValueError(f"{variable(name)} must be set for ZEON_AUTH={method}")
        return self

    @model_validator(mode="after")
    def _renewed_in_time(self) -> Settings:
        """Refuse a renewal interval so long that a living process would count as dead."""
        if self.runner_ttl_ms < 2 * self.renew_ms:
            raise ValueError("ZEON_RUNNER_TTL_MS must be at least twice ZEON_RENEW_MS")
        return self


def unknown_variables() -> list[str]:
    """Return the environment variables that start with ZEON_ but are no setting."""
    known = {variable(field) for field in Settings.model_fields}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


@cache
def _check_name(name: str) -> None:
    """Refuse an unknown variable that is likely a typo, and warn once about any other."""
    for known in map(variable, Settings.model_fields):
        if _distance(name, known) <= _MAX_TYPO_DISTANCE or name == PREFIX + known:
            raise BadInputError(f"{name}: there is no such setting; did you mean {known}?")
    _log.warning("%s is not a setting and is ignored.", name)


def _distance(first: str, other: str) -> int:
    """Return how many letters must be added, removed or replaced to make one name the other (Levenshtein)."""
    row = list(range(len(other) + 1))
    for i, letter in enumerate(first, 1):
        before, row = row, [i]
        for j, wanted in enumerate(other, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted)))
    return row[-1]


def _origin(text: str) -> str:
    """Return scheme, host and port in lower case, without the scheme's own port."""
    parts = urlsplit(text.rstrip("/").lower())
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc or parts[2:] != ("", "", ""):
        raise ValueError(f"{text[:100]!r} is not an origin such as http://localhost:5173")
    return f"{parts.scheme}://{parts.netloc.removesuffix(_PORTS[parts.scheme])}"


def _network(value: Any) -> IPv4Network | IPv6Network:
    try:
        return ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"{str(value)[:100]!r} is not an address or network such as 10.0.0.5 or 10.0.0.0/8") from None


def variable(field: str) -> str:
    """Return the environment variable a field of Settings is read from."""
    name = field.upper()
    return name if name in UNPREFIXED else PREFIX + name


def load(**values: Any) -> Settings:
    """Read the settings from `values`, then the environment; raises `BadInputError` that names a wrong variable.

    A variable whose name is almost a setting's is wrong; a warning is logged for every other unknown one.
    """
    for name in unknown_variables():
        _check_name(name)
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    field = str(first["loc"][0]) if first["loc"] else ""
    raise BadInputError(f"{variable(field)}: {message}." if field else f"{message}.")
