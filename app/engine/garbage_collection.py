"""The garbage collector of a server process."""

from __future__ import annotations

import gc

_THRESHOLDS = (5_000, 10, 50)


def tune_gc() -> None:
    """Let it look rarely at what lives long: with thousands of sessions a full look holds everything for 0.3 s.

    What a tick or a page leaves behind is freed by counting references; cycles among young objects are still found.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
