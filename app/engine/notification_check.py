"""Find out whether notifications reach this process: it sends one to itself after each connect."""

from __future__ import annotations

import asyncio
import logging
from typing import Literal
from uuid import uuid4

from app.clock import TimedEvent
from app.db.listen import Listener, send_probe
from app.db.pool import Database
from app.errors import UnavailableError

NotificationState = Literal["checking", "arrive", "lost", "off"]

PATIENCE_S = 2.0
"""How long a notification may take until it counts as lost."""
_AGAIN_S = 30
"""Seconds until the next check while notifications are lost."""
_LOST = (
    "Notifications do not reach this server, so everything waits for its next poll (ZEON_POLL_MS): the connection"
    " that listens is shared by a pooler, or leads to another database; set ZEON_LISTEN_URL to Postgres itself."
)

_log = logging.getLogger(__name__)


class NotificationCheck:
    """Checks after each connect of the listener, and again now and then while notifications are lost."""

    def __init__(self, database: Database, listener: Listener) -> None:
        self._database = database
        self._listener = listener
        self._state: NotificationState = "checking"
        self._payload = ""
        self._arrived = TimedEvent()
        self._again = TimedEvent()
        self.checked = asyncio.Event()

    @property
    def state(self) -> NotificationState:
        """Whether notifications `arrive`, are `lost`, or are turned `off` in the database."""
        return "lost" if self._listener.shared else self._state

    def restart(self) -> None:
        """Check again: the listener has a new connection."""
        self._again.set()

    def on_notify(self, payload: str) -> bool:
        """Whether a notification is one of these checks, and not for others."""
        if payload == self._payload:
            self._arrived.set()
        return payload.startswith("probe:")

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            self._again.clear()
            await self._listener.connected.wait()
            await self._check()
            self.checked.set()
            await self._again.wait(_AGAIN_S if self.state == "lost" else None)

    async def _check(self) -> None:
        self._arrived.clear()
        self._payload = f"probe:{uuid4().hex}"
        try:
            sent = await self._database.run(send_probe, self._payload)
        except UnavailableError:
            return
        if not sent:
            self._state = "off"
        elif await self._arrived.wait(PATIENCE_S):
            self._state = "arrive"
        elif self._listener.connected.is_set():
            if self._state != "lost":
                _log.warning("%s", _LOST)
            self._state = "lost"
