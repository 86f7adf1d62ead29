// The equity of the whole session, with the drawdown below it.

import { BaselineSeries, createChart } from "../vendor/lightweight-charts.js";
import { get, SESSIONS } from "../common/api.js";
import { byId } from "../common/dom.js";
import { minus, money, time } from "../common/format.js";
import { color, onTheme } from "../common/theme.js";
import { Downsampled } from "./downsampled.js";
import { chartOptions } from "./theme.js";

const POINTS = 2000;
const LONG_LOG = 200_000;
const PERCENT = { type: "custom", minMove: 0.1, formatter: (value) => `${minus(value.toFixed(1))} %` };

export class Curve {
  #shown = new Downsampled(POINTS);
  #chart = null;
  #early = new Downsampled(POINTS);

  constructor(session) {
    this.session = session;
  }

  /**
   * Read the curve of the whole session in as many points as fit on a screen. That takes seconds for a long log, so a
   * sample is drawn first.
   */
  async load() {
    if (this.session.lastSeq > LONG_LOG) this.#drawWhole(await this.#read("&sample=true"));
    this.#drawWhole(await this.#read(""));
    this.#early = null;
  }

  /** Add the equity events of a batch. Until the whole curve is read they are collected too, to be drawn after it. */
  add(events) {
    const points = events.filter(({ type }) => type === "equity").map(toPoint);
    points.forEach((point) => this.#early?.add(point));
    if (this.#chart || !this.#early) this.#add(points);
  }

  async #read(more) {
    const { points } = await get(`${SESSIONS}/${this.session.id}/equity?points=${POINTS}${more}`);
    return points.map(toPoint);
  }

  /** Draw the points of the whole session, and those that came while they were read. */
  #drawWhole(points) {
    this.#shown = new Downsampled(POINTS);
    this.#add([...points, ...this.#early.points]);
  }

  #add(points) {
    const added = points.filter((point) => this.#shown.add(point));
    if (!added.length) return;
    if (!this.#chart) this.#createChart();
    if (added.length > 1 || this.#shown.rebuilt) this.#redraw();
    else this.#append(added[0]);
  }

  #append({ time: at, equity, drawdown }) {
    this.equity.update({ time: at, value: equity });
    this.drawdown.update({ time: at, value: -drawdown });
  }

  #redraw() {
    const points = this.#shown.points;
    this.#shown.rebuilt = false;
    this.equity.setData(points.map(({ time: at, equity }) => ({ time: at, value: equity })));
    this.drawdown.setData(points.map(({ time: at, drawdown }) => ({ time: at, value: -drawdown })));
    this.#chart.timeScale().fitContent();
  }

  #createChart() {
    byId("curve-panel").hidden = false;
    const options = chartOptions();
    this.#chart = createChart(byId("curve"), { autoSize: true, ...options, layout: { ...options.layout, attributionLogo: false } });
    this.equity = this.#chart.addSeries(BaselineSeries, { lineWidth: 2, priceLineVisible: false, baseValue: { type: "price", price: this.session.initialCash ?? 0 } });
    this.drawdown = this.#chart.addSeries(BaselineSeries, { lineWidth: 1, priceLineVisible: false, baseValue: { type: "price", price: 0 }, priceFormat: PERCENT }, 1);
    this.equity.applyOptions({ priceFormat: { type: "custom", minMove: 0.01, formatter: money } });
    this.drawdown.priceScale().applyOptions({ scaleMargins: { top: 0.15, bottom: 0.1 } });
    this.#chart.panes()[0].setStretchFactor(2);
    this.#chart.panes()[1].setStretchFactor(1);
    this.#chart.timeScale().applyOptions({ rightOffset: 0 });
    this.#chart.subscribeCrosshairMove((moved) => this.#legend(moved));
    this.#paint();
    onTheme(() => this.#paint());
  }

  #legend(moved) {
    const [equity, drawdown] = [moved.seriesData.get(this.equity), moved.seriesData.get(this.drawdown)];
    byId("curve-legend").replaceChildren(...(equity ? [time(equity.time * 1000), ` equity ${money(equity.value)}, drawdown ${(-(drawdown?.value ?? 0)).toFixed(2)} %`] : []));
  }

  #paint() {
    const options = chartOptions();
    this.#chart.applyOptions({ ...options, layout: { ...options.layout, attributionLogo: false } });
    const [up, down, upSoft, downSoft, upFaint, downFaint] = ["--up", "--down", "--up-soft", "--down-soft", "--up-faint", "--down-faint"].map(color);
    this.equity.applyOptions({ topLineColor: up, topFillColor1: upSoft, topFillColor2: upFaint, bottomLineColor: down, bottomFillColor1: downFaint, bottomFillColor2: downSoft });
    this.drawdown.applyOptions({ topLineColor: down, bottomLineColor: down, bottomFillColor1: downSoft, bottomFillColor2: downSoft });
  }
}

/** A point from an equity event or from a row of the curve. */
function toPoint(row) {
  const { equity, drawdownPct } = row.payload ?? row;
  return { time: Math.floor(row.ts / 1000), equity, drawdown: drawdownPct ?? 0 };
}
