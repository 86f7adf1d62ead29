// Fills as arrows on the candles, with the trades that they closed.

import { createSeriesMarkers } from "../vendor/lightweight-charts.js";
import { color } from "../common/theme.js";
import { timeframeMs } from "../common/format.js";
import { indexAt } from "./series.js";

const MAX_EVENTS = 1000;

export class Markers {
  count = 0;
  #fills = [];
  #trades = [];
  #seen = new Set();

  constructor(series, session, candles) {
    this.layer = createSeriesMarkers(series, []);
    this.session = session;
    this.candles = candles;
  }

  /** Remember the fills and trades among events, and draw those of the key. */
  add(events, key, firstTime, lastTime) {
    const added = events.filter(({ type, seq }) => (type === "fill" || type === "trade") && !this.#seen.has(seq));
    if (!added.length) return;
    for (const event of added) {
      this.#seen.add(event.seq);
      (event.type === "fill" ? this.#fills : this.#trades).push(event);
    }
    for (const list of [this.#fills, this.#trades]) {
      list.sort((a, b) => a.seq - b.seq);
      for (const old of list.splice(0, Math.max(0, list.length - MAX_EVENTS))) this.#seen.delete(old.seq);
    }
    this.draw(key, firstTime, lastTime);
  }

  /** Draw the fills of a key from its first candle to the last one shown. */
  draw(key, firstTime = Infinity, lastTime = Infinity) {
    this.key = key;
    const own = this.#fills.filter(({ payload }) => key.startsWith(`${payload.symbol} `));
    const shown = own.map((event) => this.#marker(event)).filter(({ time }) => time >= firstTime && time <= lastTime);
    this.layer.setMarkers(shown.sort((a, b) => a.time - b.time));
    this.count = shown.length;
  }

  /** The times in seconds of the candles of a trade's entry and exit. */
  candleTimes({ entryTs, exitTs }) {
    return [this.#candleTime(entryTs), this.#candleTime(exitTs)];
  }

  /** The fill of the arrow with this id, and the trades that it closed; null where there is none. */
  find(id) {
    const fill = this.#fills.find(({ seq }) => `fill-${seq}` === id);
    if (!fill) return null;
    const side = fill.payload.side === "BUY" ? "SHORT" : "LONG";
    const closed = ({ ts, payload }) => ts === fill.ts && payload.symbol === fill.payload.symbol && payload.side === side;
    return { fill, trades: this.#trades.filter(closed) };
  }

  clear() {
    this.#fills = [];
    this.#trades = [];
    this.#seen.clear();
    this.layer.setMarkers([]);
  }

  #marker({ seq, ts, payload }) {
    const buy = payload.side === "BUY";
    return {
      id: `fill-${seq}`,
      time: this.#candleTime(ts),
      position: buy ? "belowBar" : "aboveBar",
      shape: buy ? "arrowUp" : "arrowDown",
      color: color(buy ? "--buy" : "--sell"),
      size: 1.5,
    };
  }

  /** The time of the candle that a fill belongs to: the one that opens then, or closes then for `same_close`. */
  #candleTime(ts) {
    const timeframe = this.key.split(" ")[1];
    const length = timeframeMs(timeframe);
    const within = this.session.fill === "same_close" ? ts - 1 : ts;
    const bars = this.candles.of(this.key);
    return bars[indexAt(bars, within / 1000)]?.time ?? Math.floor(within / length) * (length / 1000);
  }
}
