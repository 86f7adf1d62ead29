// A second pane with a longer timeframe, built from the candles of the first: it ends at the same candle and is never ahead.

import { CandlestickSeries, createChart } from "../vendor/lightweight-charts.js";
import { onZone, symbolText, timeText } from "../common/display.js";
import { byId, make, option, setText } from "../common/dom.js";
import { timeframeMs, whole } from "../common/format.js";
import { decimalsOf, priceText } from "../common/prices.js";
import { color, onTheme } from "../common/theme.js";
import { bucketOf, resample } from "./resample.js";
import { chartOptions } from "./theme.js";

const NAMES = ["3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w"];
const EDGE = 10;
const KEY = "zeon-second-timeframe";

export class SecondPane {
  #chart = null;
  #bars = [];
  #symbol = "";
  #timer = null;

  /** `onOldest()` is called when the oldest candle comes into view. */
  constructor(session, prices, onOldest) {
    Object.assign(this, { session, prices, onOldest });
    const base = timeframeMs(session.timeframe);
    const names = NAMES.filter((name) => timeframeMs(name) > base && timeframeMs(name) % base === 0);
    byId("second-timeframe").replaceChildren(option("", "none"), ...names.map((name) => option(name)));
    byId("second-timeframe").addEventListener("change", () => this.#choose());
    const before = localStorage.getItem(KEY);
    if (names.includes(before)) byId("second-timeframe").value = before;
    prices.onCandles(() => this.draw());
    onTheme(() => this.#paint());
    onZone(() => this.#paint());
  }

  get timeframe() {
    return byId("second-timeframe").value;
  }

  /** Draw the candles up to the last one of the first pane. */
  draw() {
    byId("second-panel").hidden = this.timeframe === "";
    if (!this.timeframe) return;
    if (!this.#chart) this.#create();
    const bars = this.#build();
    const before = this.#bars;
    const [first, last] = [bars[0]?.time, before.at(-1)?.time];
    const grew = this.#symbol === this.prices.symbol && before.length > 0 && first === before[0].time && bars.length >= before.length && bars.length - before.length < 3;
    if (grew) bars.filter(({ time }) => time >= last).forEach((bar) => this.series.update(bar));
    else this.series.setData(bars);
    this.#bars = bars;
    if (!grew) this.#setDecimals();
    this.#describe();
  }

  /** The longer candles; a first one whose beginning is not loaded is left out. */
  #build() {
    const base = this.prices.base();
    const length = timeframeMs(this.timeframe) / 1000;
    const bars = resample(base, length);
    const whole = !base.length || base[0].time === bucketOf(base[0].time, length) || base[0].time * 1000 <= this.session.startMs;
    return whole || bars.length < 2 ? bars : bars.slice(1);
  }

  #choose() {
    localStorage.setItem(KEY, this.timeframe);
    this.#bars = [];
    this.draw();
    this.#chart?.timeScale().fitContent();
    if (this.timeframe) this.onOldest();
  }

  #create() {
    this.#chart = createChart(byId("second"), { autoSize: true, ...this.#options() });
    this.series = this.#chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range && range.from < EDGE && this.#bars.length) this.onOldest();
    });
    this.#paint();
  }

  #options() {
    const options = chartOptions();
    return { ...options, layout: { ...options.layout, attributionLogo: false } };
  }

  #setDecimals() {
    const { symbol } = this.prices;
    this.#symbol = symbol;
    this.series.applyOptions({ priceFormat: { type: "custom", minMove: 10 ** -decimalsOf(symbol), formatter: (price) => priceText(symbol, price) } });
  }

  #paint() {
    if (!this.#chart) return;
    this.#chart.applyOptions(this.#options());
    const [upColor, downColor] = [color("--up"), color("--down")];
    this.series.applyOptions({ upColor, downColor, wickUpColor: upColor, wickDownColor: downColor });
    this.#describe();
  }

  /** Say what is drawn; the text for screen readers changes at most once a second. */
  #describe() {
    const last = this.#bars.at(-1);
    const base = this.prices.base().at(-1);
    const name = `${symbolText(this.prices.symbol)} ${this.timeframe}`;
    if (!last) return setText(byId("second-legend"), `${name}, no candle yet`);
    const forming = base.time + timeframeMs(this.session.timeframe) / 1000 < last.time + timeframeMs(this.timeframe) / 1000;
    const numbers = ["open", "high", "low", "close"].map((part) => make("span", {}, make("b", {}, part[0].toUpperCase()), ` ${priceText(this.prices.symbol, last[part])} `));
    byId("second-legend").replaceChildren(`${name} · ${timeText(last.time * 1000)} `, ...numbers, forming ? "forming" : "closed");
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      byId("second").setAttribute("aria-label", `${whole(this.#bars.length)} candles of ${name}, built from ${this.session.timeframe}`);
    }, 1000);
  }
}
