"""A bot that is its own clock: it steps a paused session candle by candle and trades it.

It buys after three falling closes and sells with a profit or a loss of half a percent. Run it against a server with
candles of the symbol, for example the demo: `python examples/bots/dip_buyer.py http://127.0.0.1:8000 demo BTCUSDT`.
"""

from __future__ import annotations

import sys

from zeon import Client

START_MS, DAY_MS = 1_704_067_200_000, 86_400_000


def run(url: str, venue: str, symbol: str, candles: int) -> float:
    """Trade so many candles and return the equity at the end."""
    with Client(url) as client:
        session = client.create(
            profile_slug="manual", venue=venue, symbol=symbol, timeframe="1m", start_ms=START_MS,
            end_ms=START_MS + DAY_MS, replay_ms_per_candle=0, gap_policy="skip", fill="same_close",
        )  # fmt: skip
        closes: list[float] = []
        seen = 0
        for _ in range(candles):
            session = client.step(session["id"], wait=True)  # It answers when the candle is in the log.
            for event in client.events(session["id"], from_seq=seen + 1):
                seen = event.seq
                if event.type == "candle":
                    closes.append(event.payload["candle"]["close"])
            account = client.account(session["id"])
            if len(closes) > 3 and closes[-1] < closes[-2] < closes[-3] and not account["positions"]:
                price = closes[-1]
                exits = {"stop_loss": round(price * 0.995, 2), "take_profit": round(price * 1.005, 2)}
                client.order(session["id"], "buy", equity_pct=50, **exits)
        client.close_position(session["id"])
        return float(client.account(session["id"])["equity"])


if __name__ == "__main__":
    equity = run(*sys.argv[1:4], candles=int(sys.argv[4]) if len(sys.argv) > 4 else 500)
    sys.stdout.write(f"equity {equity}\n")
