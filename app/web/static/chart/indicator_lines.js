// Indicators that a user adds, computed from the candles on the chart; no strategy is needed.

import { LineSeries } from "../vendor/lightweight-charts.js";
import { byId, make } from "../common/dom.js";
import { announce } from "../common/notice.js";
import { priceText } from "../common/prices.js";
import { color, onTheme } from "../common/theme.js";
import { ema, rsi, sma, vwap } from "./indicators.js";
import { VolumeProfile } from "./volume_profile.js";

const KEY = "zeon-indicators";
const COLORS = 6;
const MOST = 8;
const LONGEST = 2000;
const closes = (bars) => bars.map(({ close }) => close);
const KINDS = {
  SMA: { length: 20, compute: (bars, length) => sma(closes(bars), length) },
  EMA: { length: 20, compute: (bars, length) => ema(closes(bars), length) },
  RSI: { length: 14, compute: (bars, length) => rsi(closes(bars), length), ownPane: true },
  VWAP: { compute: vwap },
  "Volume profile": {},
};

export class IndicatorLines {
  #lines = [];
  #profile;

  /** `onChange()` follows a change of the list. */
  constructor(prices, onChange) {
    Object.assign(this, { prices, onChange });
    this.#profile = new VolumeProfile(prices);
    byId("indicator-kind").replaceChildren(...Object.keys(KINDS).map((kind) => make("option", {}, kind)));
    byId("indicator-kind").addEventListener("change", () => this.#showLength());
    byId("indicator-form").addEventListener("submit", (submit) => {
      submit.preventDefault();
      this.#add(byId("indicator-kind").value, Number(byId("indicator-length").value));
      this.#keep();
    });
    this.#showLength();
    prices.onCandles((appended) => this.#draw(appended));
    onTheme(() => this.#lines.forEach(({ series, number }) => series?.applyOptions({ color: color(`--plot-${number}`) })));
  }

  /** Draw the indicators of the last visit. */
  start() {
    for (const { kind, length } of remembered()) this.#add(kind, length);
  }

  /** The value of each line: under the pointer, or the last one without a pointer. */
  values(moved) {
    const drawn = this.#lines.filter(({ series }) => series);
    const values = drawn.map(({ name, number, series, points }) => ({ name, number, value: (moved ? moved.seriesData.get(series) : points.at(-1))?.value }));
    return values.filter(({ value }) => value !== undefined);
  }

  #add(kind, length) {
    const { compute, length: usual, ownPane } = KINDS[kind];
    const name = usual ? `${kind} ${length}` : kind;
    if (this.#lines.length >= MOST) return announce(`There are ${MOST} indicators already; remove one first.`);
    if (this.#lines.some((line) => line.name === name) || (usual && !(length >= 1 && length <= LONGEST))) return undefined;
    const number = COLORS - (this.#lines.length % COLORS);
    const line = { kind, length, name, number, compute, points: [], series: compute ? this.#series(number, ownPane) : null };
    this.#lines.push(line);
    if (!compute) this.#profile.show(true);
    this.#draw(null);
    return this.#list();
  }

  #series(number, ownPane) {
    const { chart } = this.prices;
    const format = ownPane ? { type: "price", precision: 1, minMove: 0.1 } : { type: "custom", minMove: 1e-8, formatter: (value) => priceText(this.prices.symbol, value) };
    const options = { color: color(`--plot-${number}`), lineWidth: 2, priceLineVisible: false, lastValueVisible: Boolean(ownPane), priceFormat: format };
    const series = chart.addSeries(LineSeries, options, ownPane ? this.#paneForOwn() : 0);
    if (ownPane) {
      series.getPane().setStretchFactor(0.3);
      for (const price of [30, 70]) series.createPriceLine({ price, color: color("--field"), lineWidth: 1, lineStyle: 2, axisLabelVisible: false, title: "" });
    }
    return series;
  }

  /** The pane of the other indicators that are not prices, or a new one below. */
  #paneForOwn() {
    const other = this.#lines.find(({ kind, series }) => series && KINDS[kind].ownPane);
    return other ? other.series.getPane().paneIndex() : this.prices.chart.panes().length;
  }

  #remove(line) {
    this.#lines.splice(this.#lines.indexOf(line), 1);
    if (line.series) this.prices.chart.removeSeries(line.series);
    else this.#profile.show(false);
    this.#list();
    this.#keep();
  }

  /** Compute all values again, which is quick, and draw only those that were appended. */
  #draw(appended) {
    if (!this.#lines.length || appended === 0) return;
    const bars = this.prices.shown();
    for (const line of this.#lines.filter(({ compute }) => compute)) {
      const values = line.compute(bars, line.length);
      line.points = bars.map(({ time }, index) => ({ time, value: values[index] })).filter(({ value }) => value !== null);
      if (appended === null) line.series.setData(line.points);
      else for (const point of line.points.slice(-appended)) line.series.update(point);
    }
  }

  #list() {
    byId("indicator-list").replaceChildren(...this.#lines.map((line) => make("li", { class: `plot-${line.number}` }, `${line.name} `, make("button", { type: "button", class: "quiet", "aria-label": `Remove ${line.name}`, onclick: () => this.#remove(line) }, "×"))));
    this.onChange();
  }

  #keep() {
    localStorage.setItem(KEY, JSON.stringify(this.#lines.map(({ kind, length }) => ({ kind, length }))));
  }

  #showLength() {
    const { length } = KINDS[byId("indicator-kind").value];
    byId("indicator-length-field").hidden = length === undefined;
    byId("indicator-length").value = length ?? 1;
  }
}

/** The indicators of the last visit that this version knows. */
function remembered() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "[]").filter(({ kind }) => kind in KINDS);
  } catch {
    return [];
  }
}
