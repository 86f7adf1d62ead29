"""A bot of the tests: it asks for candles in a loop, sleeps a second by its own clock, and trades what it sees."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

SESSION = f"{os.environ['ZEON_BOT_SERVER']}/api/sim/sessions/{os.environ['ZEON_BOT_SESSION']}"


def call(path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(SESSION + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["data"]


def pause_async(seconds: float) -> None:
    asyncio.run(asyncio.sleep(seconds))


def main(pause_s: float, pause: Callable[[float], None]) -> None:
    closes: list[float] = []
    seen = 0
    while True:
        events = call(f"/events?types=candle&fromSeq={seen + 1}")["events"]
        for event in events:
            seen = event["seq"]
            candle = event["payload"]["candle"]
            closes.append(candle["close"])
            print(f"candle {candle['closeTimeMs']} at {round(time.time() * 1000)}", flush=True)
        for _ in range(30_000):  # A bot thinks for a while.
            pass
        if events and len(closes) % 5 == 0 and len(closes) < 18:
            side = "buy" if closes[-1] < closes[-3] else "sell"
            call("/orders", {"side": side, "type": "market", "qty": 0.01, "fill": "same_close"})
        pause(pause_s)


if __name__ == "__main__":
    main(float(sys.argv[1]), pause_async if "async" in sys.argv else time.sleep)
