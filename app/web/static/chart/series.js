// The candles in the page: per symbol and timeframe, sorted, each once, and at most `MAX_CANDLES`.

import { learnDecimals } from "../common/prices.js";

export const MAX_CANDLES = 20_000;
const SLACK = 1.1;

export const keyOf = (symbol, timeframe) => `${symbol} ${timeframe}`;

/** A candle as the chart wants it: times in whole seconds. */
function bar({ openTimeMs, open, high, low, close, volume }) {
  return { time: openTimeMs / 1000, open, high, low, close, volume };
}

/** The index of the last bar that is not after a time in seconds; -1 without one. */
export function indexAt(bars, seconds) {
  let [low, high] = [0, bars.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (bars[middle].time <= seconds) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

export class CandleSeries {
  #bars = new Map();

  /** Append candle events. Returns how many were added per key, and the keys whose oldest candles were removed. */
  add(events) {
    const [added, cut] = [new Map(), new Set()];
    for (const { payload } of events) {
      const key = keyOf(payload.symbol, payload.timeframe);
      const bars = this.of(key);
      const next = bar(payload.candle);
      if (bars.length && next.time <= bars.at(-1).time) continue;
      bars.push(next);
      learnDecimals(payload.symbol, [next.open, next.high, next.low, next.close]);
      added.set(key, (added.get(key) ?? 0) + 1);
    }
    const limit = Math.floor(MAX_CANDLES / Math.max(1, this.#bars.size));
    for (const [key, bars] of this.#bars) {
      if (bars.length <= limit * SLACK) continue;
      bars.splice(0, bars.length - limit);
      cut.add(key);
    }
    return { added, cut };
  }

  /** The bars of a key, oldest first. */
  of(key) {
    if (!this.#bars.has(key)) this.#bars.set(key, []);
    return this.#bars.get(key);
  }

  /** Add older candle events at the beginning, as far as there is room; returns whether any was added. */
  prepend(events) {
    let added = 0;
    const older = new CandleSeries();
    older.add(events);
    for (const [key, bars] of older.#bars) {
      const known = this.of(key);
      const before = bars.filter(({ time }) => !known.length || time < known[0].time);
      const room = Math.max(0, Math.floor(MAX_CANDLES / this.#bars.size) - known.length);
      if (!room || !before.length) continue;
      known.unshift(...before.slice(-room));
      added += Math.min(room, before.length);
    }
    return added > 0;
  }

  clear() {
    this.#bars.clear();
  }

  get count() {
    return [...this.#bars.values()].reduce((sum, bars) => sum + bars.length, 0);
  }
}
