// The curves of all sessions in one chart, each with its color and line style.

import { createChart, LineSeries } from "../vendor/lightweight-charts.js";
import { chartOptions } from "../chart/theme.js";
import { percent, time } from "../common/format.js";
import { color, onTheme } from "../common/theme.js";

const COLORS = 6;
const DASHES = ["", "2 3", "7 4", "12 5"];
const PERCENT = { type: "custom", minMove: 0.01, formatter: (value) => percent(value) };

const colorName = (index) => `--plot-${1 + (index % COLORS)}`;
const styleOf = (index) => Math.floor(index / COLORS) % DASHES.length;

/** A piece of a session's line for the legend. */
export function sample(index) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  const attributes = { x1: 0, x2: 28, y1: 6, y2: 6, "stroke-width": 3, stroke: `var(${colorName(index)})`, "stroke-dasharray": DASHES[styleOf(index)] };
  for (const [name, value] of Object.entries(attributes)) line.setAttribute(name, value);
  svg.setAttribute("aria-hidden", "true");
  svg.append(line);
  return svg;
}

export class Curves {
  #lines = [];

  /** `at` shows the time under the pointer and the values there. */
  constructor(element, at) {
    this.chart = createChart(element, { autoSize: true, ...options() });
    this.chart.subscribeCrosshairMove((moved) => this.#readOut(at, moved));
    onTheme(() => this.#paint());
  }

  /** Draw `{name, cash, points}` of each session, as percent gained on its cash. */
  draw(sessions) {
    this.#lines = sessions.map(({ name, cash, points }, index) => {
      const series = this.chart.addSeries(LineSeries, { lineWidth: 2, lineStyle: styleOf(index), priceLineVisible: false, lastValueVisible: false, priceFormat: PERCENT });
      series.setData(inSeconds(points, cash));
      return { name, series };
    });
    this.#paint();
    requestAnimationFrame(() => this.chart.timeScale().fitContent()); // Once the chart has its size.
  }

  #paint() {
    this.chart.applyOptions(options());
    this.#lines.forEach(({ series }, index) => series.applyOptions({ color: color(colorName(index)) }));
  }

  #readOut(at, moved) {
    const values = this.#lines.filter(({ series }) => moved.seriesData.has(series)).map(({ name, series }) => `${name} ${percent(moved.seriesData.get(series).value)}`);
    at.replaceChildren(...(values.length ? [time(moved.time * 1000), ` ${values.join(" · ")}`] : []));
  }
}

/** The chart's options; the page itself names TradingView, because nothing in an image can be a link. */
function options() {
  const all = chartOptions();
  return { ...all, layout: { ...all.layout, attributionLogo: false } };
}

/** The points with one value per second, the newest: the chart takes no two at the same time. */
function inSeconds(points, cash) {
  const values = new Map(points.map(({ ts, equity }) => [Math.floor(ts / 1000), (100 * (equity - cash)) / cash]));
  return [...values].map(([at, value]) => ({ time: at, value }));
}
