// Equity over the whole session with the drawdown below it.

import { AreaSeries, BaselineSeries, createChart } from "/static/vendor/lightweight-charts.js";
import { get, offers, SESSIONS } from "../common/api.js";
import { byId } from "../common/dom.js";
import { money, time } from "../common/format.js";
import { color, onTheme } from "../common/theme.js";
import { Thinned } from "./thinned.js";
import { look } from "./look.js";

const POINTS = 2000;

export class Curve {
  #points = null;
  #chart = null;
  #waiting = [];

  constructor(session) {
    this.session = session;
    this.#points = new Thinned(POINTS);
  }

  /** Begin with the points of the whole session, as few as fit on a screen. */
  async load() {
    const path = `${SESSIONS}/${this.session.id}`;
    const thinned = await offers("GET", `${SESSIONS}/{id}/equity`);
    const answer = await get(thinned ? `${path}/equity?points=${POINTS}` : `${path}/events?types=equity&tail=${POINTS}`);
    const waited = this.#waiting;
    this.#waiting = null;
    this.#add([...(answer.points ?? answer.events).map(point), ...waited]);
  }

  /** Add the equity events of a batch; what comes before the beginning is there waits for it. */
  add(events) {
    const points = events.filter(({ type }) => type === "equity").map(point);
    if (this.#waiting) this.#waiting.push(...points);
    else this.#add(points);
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
    this.drawdown = this.#chart.addSeries(AreaSeries, { lineWidth: 1, priceLineVisible: false, invertFilledArea: true, priceFormat: { type: "custom", formatter: (value) => `${value.toFixed(1)} %` } }, 1);
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
    const [up, down, upSoft, downSoft] = ["--up", "--down", "--up-soft", "--down-soft"].map(color);
    this.equity.applyOptions({ topLineColor: up, topFillColor1: upSoft, topFillColor2: "transparent", bottomLineColor: down, bottomFillColor1: "transparent", bottomFillColor2: downSoft });
    this.drawdown.applyOptions({ lineColor: down, topColor: downSoft, bottomColor: downSoft });
  }
}

/** A point from an equity event or from the thinned curve. */
function point(each) {
  const { equity, drawdownPct } = each.payload ?? each;
  return { time: Math.floor(each.ts / 1000), equity, drawdown: drawdownPct ?? 0 };
}
