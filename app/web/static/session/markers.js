// Fills as arrows on the candles, and the trades that they closed.

import { createSeriesMarkers } from "/static/vendor/lightweight-charts.js";
import { color } from "../common/theme.js";
import { timeframeMs } from "../common/format.js";
import { placeAt } from "./series.js";

const KEPT = 1000;

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

  /** Remember fills and trades among events, each once, and draw them where they belong to the key. */
  add(events, key, firstTime) {
    const news = events.filter(({ type, seq }) => (type === "fill" || type === "trade") && !this.#seen.has(seq));
    if (!news.length) return;
    for (const event of news) {
      this.#seen.add(event.seq);
      (event.type === "fill" ? this.#fills : this.#trades).push(event);
    }
    for (const list of [this.#fills, this.#trades]) {
      list.sort((a, b) => a.seq - b.seq);
      for (const old of list.splice(0, Math.max(0, list.length - KEPT))) this.#seen.delete(old.seq);
    }
    this.draw(key, firstTime);
  }

  /** Draw the fills of a key that are not older than its first candle. */
  draw(key, firstTime = Infinity) {
    this.key = key;
    const own = this.#fills.filter(({ payload }) => key.startsWith(`${payload.symbol} `));
    const shown = own.map((event) => this.#marker(event)).filter(({ time }) => time >= firstTime);
    this.layer.setMarkers(shown.sort((a, b) => a.time - b.time));
    this.count = shown.length;
  }

  /** The times in seconds of the candles at which a trade was entered and left. */
  ends({ entryTs, exitTs }) {
    return [this.#slot(entryTs), this.#slot(exitTs)];
  }

  /** The fill whose arrow has an id, with the trades it closed. */
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
      time: this.#slot(ts),
      position: buy ? "belowBar" : "aboveBar",
      shape: buy ? "arrowUp" : "arrowDown",
      color: color(buy ? "--buy" : "--sell"),
      size: 1.5,
    };
  }

  /** The candle a fill belongs to: at its open, or at its close where the session fills there. */
  #slot(ts) {
    const timeframe = this.key.split(" ")[1];
    const length = timeframeMs(timeframe);
    const within = this.session.fill === "same_close" ? ts - 1 : ts;
    const bars = this.candles.of(this.key);
    return bars[placeAt(bars, within / 1000)]?.time ?? Math.floor(within / length) * (length / 1000);
  }
}
