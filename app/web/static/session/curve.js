// Equity over the whole session with the drawdown below it.

import { BaselineSeries, createChart } from "/static/vendor/lightweight-charts.js";
import { get, SESSIONS } from "../common/api.js";
import { byId } from "../common/dom.js";
import { minus, money, time } from "../common/format.js";
import { color, onTheme } from "../common/theme.js";
import { Thinned } from "./downsampled.js";
import { look } from "./chart_theme.js";

const POINTS = 2000;
const LONG = 200_000;
const PERCENT = { type: "custom", minMove: 0.1, formatter: (value) => `${minus(value.toFixed(1))} %` };

export class Curve {
  #points = new Thinned(POINTS);
  #chart = null;
  #waiting = new Thinned(POINTS);

  constructor(session) {
    this.session = session;
  }

  /**
   * Begin with the points of the whole session, as few as fit on a screen. Those of a long log take seconds, so that
   * a sample of them is drawn first.
   */
  async load() {
    if (this.session.lastSeq > LONG) this.#begin(await this.#read("&sample=true"));
    this.#begin(await this.#read(""));
    this.#waiting = null;
  }

  /** Add the equity events of a batch, also to those that a beginning still to come is followed by. */
  add(events) {
    const points = events.filter(({ type }) => type === "equity").map(point);
    points.forEach((each) => this.#waiting?.add(each));
    if (this.#chart || !this.#waiting) this.#add(points);
  }

  async #read(more) {
    const { points } = await get(`${SESSIONS}/${this.session.id}/equity?points=${POINTS}${more}`);
    return points.map(point);
  }

  /** Draw points of the whole session, and what came since they were asked for. */
  #begin(points) {
    this.#points = new Thinned(POINTS);
    this.#add([...points, ...this.#waiting.take()]);
  }

  #add(points) {
    const news = points.filter((each) => this.#points.add(each));
    if (!news.length) return;
    if (!this.#chart) this.#open();
    if (news.length > 1 || this.#points.rebuilt) this.#redraw();
    else this.#put(news[0]);
  }

  #put({ time: at, equity, drawdown }) {
    this.equity.update({ time: at, value: equity });
    this.drawdown.update({ time: at, value: -drawdown });
  }

  #redraw() {
    const points = this.#points.take();
    this.equity.setData(points.map((each) => ({ time: each.time, value: each.equity })));
    this.drawdown.setData(points.map((each) => ({ time: each.time, value: -each.drawdown })));
    this.#chart.timeScale().fitContent();
  }

  #open() {
    byId("curve-panel").hidden = false;
    const options = look();
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
    const options = look();
    this.#chart.applyOptions({ ...options, layout: { ...options.layout, attributionLogo: false } });
    const [up, down, upSoft, downSoft, upFaint, downFaint] = ["--up", "--down", "--up-soft", "--down-soft", "--up-faint", "--down-faint"].map(color);
    this.equity.applyOptions({ topLineColor: up, topFillColor1: upSoft, topFillColor2: upFaint, bottomLineColor: down, bottomFillColor1: downFaint, bottomFillColor2: downSoft });
    this.drawdown.applyOptions({ topLineColor: down, bottomLineColor: down, bottomFillColor1: downSoft, bottomFillColor2: downSoft });
  }
}

/** A point from an equity event or from the thinned curve. */
function point(each) {
  const { equity, drawdownPct } = each.payload ?? each;
  return { time: Math.floor(each.ts / 1000), equity, drawdown: drawdownPct ?? 0 };
}
