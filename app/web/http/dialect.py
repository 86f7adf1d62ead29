"""The differences between the streams of the API's dialects."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from app.domain.session import Session


class Dialect(NamedTuple):
    """A dialect of the streams. `name` selects the frames that Postgres renders, see `sim_page_frames`.

    `types` are the types of events that it shows, null for all. `opening` returns the first bytes of a stream. With
    `says_caught_up` a stream sends a message once it has sent all events that existed when it started. With
    `names_control_frames` control frames have a name, so that a client with only `onmessage` sees only the log.
    """

    name: str
    types: tuple[str, ...] | None = None
    opening: Callable[[Session], bytes] = lambda _: b""
    says_caught_up: bool = True
    names_control_frames: bool = True
