// Lines a strategy plots: on the candles where they are of the same size, in a pane of their own otherwise.

import { LineSeries } from "/static/vendor/lightweight-charts.js";
import { color } from "../common/theme.js";
import { decimal, timeframeMs } from "../common/format.js";
import { KEPT } from "./series.js";

const COLORS = 6;
const MOST = 12;
const SIMILAR = 3;

export class Plots {
  #lines = new Map();

  constructor(chart, session) {
    this.chart = chart;
    this.tickMs = timeframeMs(session.timeframe);
    this.symbols = session.symbols;
    this.symbol = session.symbols[0];
  }

  /** Hide lines whose name begins with another symbol than the one shown. */
  choose(symbol) {
    this.symbol = symbol;
    for (const [name, { series }] of this.#lines) series.applyOptions({ visible: this.#fits(name) });
  }

  /** Draw plot events; `priceOf(symbol)` decides where a new line goes, points before `firstTime` are left out. */
  add(events, priceOf, firstTime) {
    const changed = new Map();
    for (const { type, ts, payload } of events) {
      if (type !== "plot") continue;
      const line = this.#line(payload, priceOf);
      const point = { time: (ts - this.tickMs) / 1000, value: payload.value };
      if (!line || point.time < firstTime || point.time < (line.points.at(-1)?.time ?? 0)) continue;
      if (point.time === line.points.at(-1)?.time) line.points.pop();
      line.points.push(point);
      changed.set(line, (changed.get(line) ?? 0) + 1);
    }
    for (const [line, count] of changed) this.#draw(line, count);
  }

  /** Put older plot events in front of the lines there are. */
  prepend(events, firstTime) {
    for (const [name, line] of this.#lines) {
      const own = events.filter(({ type, payload }) => type === "plot" && payload.name === name);
      const points = own.map(({ ts, payload }) => ({ time: (ts - this.tickMs) / 1000, value: payload.value }));
      const first = line.points[0]?.time ?? Infinity;
      line.points.unshift(...points.filter(({ time }) => time < first && time >= firstTime));
      line.series.setData(line.points);
    }
  }

  #draw(line, count) {
    if (line.points.length > KEPT) line.points.splice(0, line.points.length - KEPT * 0.9);
    else if (count < 200) {
      for (const point of line.points.slice(-count)) line.series.update(point);
      return;
    }
    line.series.setData(line.points);
  }

  /** Forget points before the first candle. */
  trim(firstTime = Infinity) {
    for (const line of this.#lines.values()) {
      const kept = line.points.filter((point) => point.time >= firstTime);
      if (kept.length === line.points.length) continue;
      line.points = kept;
      line.series.setData(kept);
    }
  }

  /** The value of every line shown, under the pointer or, without one, the last. */
  values(moved) {
    const own = [...this.#lines].filter(([name]) => this.#fits(name));
    const found = own.map(([name, { series, number, points }]) => ({ name, number, value: (moved ? moved.seriesData.get(series) : points.at(-1))?.value }));
    return found.filter(({ value }) => value !== undefined);
  }

  paint() {
    for (const { series, number } of this.#lines.values()) series.applyOptions({ color: color(`--plot-${number}`) });
  }

  clear() {
    for (const { series } of this.#lines.values()) this.chart.removeSeries(series);
    this.#lines.clear();
  }

  #fits(name) {
    return this.#symbolOf(name) === this.symbol;
  }

  /** The symbol a name begins with; a line that names none belongs to whatever is shown. */
  #symbolOf(name) {
    return this.symbols.find((symbol) => name.startsWith(`${symbol} `)) ?? this.symbol;
  }

  #line({ name, value }, priceOf) {
    if (!this.#lines.has(name) && this.#lines.size < MOST) {
      const number = (this.#lines.size % COLORS) + 1;
      const price = priceOf(this.#symbolOf(name));
      const similar = price === undefined || (value < price * SIMILAR && value > price / SIMILAR);
      const options = { priceFormat: { type: "custom", minMove: 1e-8, formatter: decimal }, color: color(`--plot-${number}`), lineWidth: 2, title: similar ? "" : name, priceLineVisible: false, lastValueVisible: !similar, visible: this.#fits(name) };
      this.#lines.set(name, { points: [], number, series: this.chart.addSeries(LineSeries, options, similar ? 0 : 1) });
    }
    return this.#lines.get(name);
  }
}
