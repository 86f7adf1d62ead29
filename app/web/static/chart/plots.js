// Lines that a strategy plots: over the candles where their values are of the size of prices, otherwise in a pane below.

import { LineSeries } from "../vendor/lightweight-charts.js";
import { masked } from "../common/display.js";
import { color } from "../common/theme.js";
import { decimal, timeframeMs } from "../common/format.js";
import { MAX_CANDLES } from "./series.js";

const COLORS = 6;
const MAX_LINES = 12;
const SIMILAR = 3;

export class Plots {
  #lines = new Map();
  #until = Infinity;

  constructor(chart, session) {
    this.chart = chart;
    this.tickMs = timeframeMs(session.timeframe);
    this.symbols = session.symbols;
    this.symbol = session.symbols[0];
  }

  /** Show a symbol: lines whose name begins with another one are hidden. */
  choose(symbol) {
    this.symbol = symbol;
    for (const [name, { series }] of this.#lines) series.applyOptions({ visible: this.#isShown(name) });
  }

  /** Show no points after a time in seconds. */
  showUntil(seconds) {
    this.#until = seconds;
    for (const line of this.#lines.values()) this.#drawAll(line);
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

  /** Add older plot events at the beginning of the lines. */
  prepend(events, firstTime) {
    for (const [name, line] of this.#lines) {
      const own = events.filter(({ type, payload }) => type === "plot" && payload.name === name);
      const points = own.map(({ ts, payload }) => ({ time: (ts - this.tickMs) / 1000, value: payload.value }));
      const first = line.points[0]?.time ?? Infinity;
      line.points.unshift(...points.filter(({ time }) => time < first && time >= firstTime));
      this.#drawAll(line);
    }
  }

  #draw(line, count) {
    if (line.points.length > MAX_CANDLES) line.points.splice(0, line.points.length - MAX_CANDLES * 0.9);
    else if (count < 200 && this.#until === Infinity) {
      for (const point of line.points.slice(-count)) line.series.update(point);
      return;
    }
    this.#drawAll(line);
  }

  #drawAll({ series, points }) {
    series.setData(this.#until === Infinity ? points : points.filter(({ time }) => time <= this.#until));
  }

  /** Remove points before the first candle. */
  trim(firstTime = Infinity) {
    for (const line of this.#lines.values()) {
      const points = line.points.filter(({ time }) => time >= firstTime);
      if (points.length === line.points.length) continue;
      line.points = points;
      this.#drawAll(line);
    }
  }

  /** The value of each visible line: under the pointer, or the last one without a pointer. */
  values(moved) {
    const own = [...this.#lines].filter(([name]) => this.#isShown(name));
    const last = (points) => (this.#until === Infinity ? points.at(-1) : points.findLast(({ time }) => time <= this.#until));
    const values = own.map(([name, { series, number, points }]) => ({ name: masked(name), number, value: (moved ? moved.seriesData.get(series) : last(points))?.value }));
    return values.filter(({ value }) => value !== undefined);
  }

  paint() {
    for (const { series, number } of this.#lines.values()) series.applyOptions({ color: color(`--plot-${number}`) });
  }

  clear() {
    for (const { series } of this.#lines.values()) this.chart.removeSeries(series);
    this.#lines.clear();
  }

  #isShown(name) {
    return this.#symbolOf(name) === this.symbol;
  }

  /** The symbol that a line's name begins with; a line without one belongs to the symbol shown. */
  #symbolOf(name) {
    return this.symbols.find((symbol) => name.startsWith(`${symbol} `)) ?? this.symbol;
  }

  #line({ name, value }, priceOf) {
    if (!this.#lines.has(name) && this.#lines.size < MAX_LINES) {
      const number = (this.#lines.size % COLORS) + 1;
      const price = priceOf(this.#symbolOf(name));
      const similar = price === undefined || (value < price * SIMILAR && value > price / SIMILAR);
      const options = { priceFormat: { type: "custom", minMove: 1e-8, formatter: decimal }, color: color(`--plot-${number}`), lineWidth: 2, title: similar ? "" : masked(name), priceLineVisible: false, lastValueVisible: !similar, visible: this.#isShown(name) };
      this.#lines.set(name, { points: [], number, series: this.chart.addSeries(LineSeries, options, similar ? 0 : 1) });
    }
    return this.#lines.get(name);
  }
}
