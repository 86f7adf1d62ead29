"""What differs between the streams of the API's dialects."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from app.db.events import DialectName
from app.domain.session import Session


class Dialect(NamedTuple):
    """A dialect of the streams. `name` chooses the frames that Postgres renders, see `sim_frames`.

    `types` are the types of events that it shows, null for all. `opening` returns the bytes that a stream of a session
    begins with. With `says_caught_up` a stream says once that it has sent all events that were there when it began.
    With `names_control_frames` control frames have a name, so that a client with `onmessage` alone sees only the log.
    """

    name: DialectName
    types: tuple[str, ...] | None = None
    opening: Callable[[Session], bytes] = lambda _: b""
    says_caught_up: bool = True
    names_control_frames: bool = True
