"""Ids of sessions."""

from __future__ import annotations

import time
from uuid import RFC_4122

from app.db.sessions import new_id


def test_ids_are_random_and_in_order_of_time() -> None:
    before_ms = time.time_ns() // 1_000_000
    some = {new_id() for _ in range(1000)}
    time.sleep(0.002)
    later = new_id()
    after_ms = time.time_ns() // 1_000_000
    assert len(some) == 1000
    assert all(earlier < later for earlier in some)
    for session_id in (*some, later):
        assert (session_id.version, session_id.variant) == (7, RFC_4122)
        assert before_ms <= session_id.int >> 80 <= after_ms
