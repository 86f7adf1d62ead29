// The price chart: candles, volume, the strategy's lines and its fills, for one symbol and timeframe at a time.

import { CandlestickSeries, createChart, HistogramSeries } from "/static/vendor/lightweight-charts.js";
import { byId } from "../common/dom.js";
import { color, onTheme } from "../common/theme.js";
import { look } from "./look.js";
import { Markers } from "./markers.js";
import { Plots } from "./plots.js";
import { CandleSeries, keyOf, placeAt } from "./series.js";

const FEW = 200;
const EDGE = 20;

export class Prices {
  key = "";
  candles = new CandleSeries();

  /** `onEdge()` is called when the oldest candle comes into view; `onCrosshair(bar, hovered)` as the pointer moves. */
  constructor(session, { onEdge, onCrosshair }) {
    this.timeframe = session.timeframe;
    this.key = keyOf(session.symbols[0], session.timeframe);
    this.chart = createChart(byId("prices"), { autoSize: true, ...look() });
    this.bars = this.chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.volume = this.chart.addSeries(HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
    this.volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.markers = new Markers(this.bars, session, this.candles);
    this.plots = new Plots(this.chart, session);
    this.#watch(onEdge, onCrosshair);
    this.#paint();
    onTheme(() => this.#paint());
    this.#anonymous();
  }

  /** Draw a batch: a few candles are appended, many are drawn at once. */
  add(events) {
    const candles = events.filter((event) => event.type === "candle");
    const { added, cut } = this.candles.add(candles);
    const count = added.get(this.key) ?? 0;
    const first = count === this.candles.of(this.key).length;
    if (count && (first || count > FEW || cut.has(this.key))) this.redraw();
    else if (count) this.#append(count);
    const begin = this.bounds()?.[0];
    this.plots.add(events, (symbol) => this.candles.of(keyOf(symbol, this.timeframe)).at(-1)?.close, begin);
    this.markers.add(events, this.key, begin);
  }

  /** Put older events in front; returns whether there was room for any of them. */
  prepend(events) {
    if (!this.candles.prepend(events.filter(({ type }) => type === "candle"))) return false;
    const first = this.bounds()?.[0];
    this.redraw();
    this.plots.prepend(events, first);
    this.markers.add(events, this.key, first);
    return true;
  }

  /** Show another symbol or timeframe. */
  choose(key) {
    this.key = key;
    this.plots.choose(key.split(" ")[0]);
    this.redraw();
    this.chart.timeScale().scrollToRealTime();
  }

  redraw() {
    const bars = this.candles.of(this.key);
    this.bars.setData(bars);
    this.volume.setData(bars.map((bar) => this.#volume(bar)));
    this.plots.trim(bars[0]?.time);
    this.markers.draw(this.key, bars[0]?.time);
  }

  clear() {
    this.candles.clear();
    this.plots.clear();
    this.markers.clear();
    this.redraw();
  }

  /** Times in seconds of the first and last candle shown; null without any. */
  bounds() {
    const bars = this.candles.of(this.key);
    return bars.length ? [bars[0].time, bars.at(-1).time] : null;
  }

  /** Bring the candle of a time into the middle. */
  centre(ms) {
    const bars = this.candles.of(this.key);
    const place = placeAt(bars, ms / 1000);
    if (place < 0) return;
    this.chart.timeScale().setVisibleLogicalRange({ from: place - 60, to: place + 60 });
  }

  toEnd() {
    this.chart.timeScale().scrollToRealTime();
  }

  #append(count) {
    for (const bar of this.candles.of(this.key).slice(-count)) {
      this.bars.update(bar);
      this.volume.update(this.#volume(bar));
    }
  }

  #volume(bar) {
    return { time: bar.time, value: bar.volume, color: bar.close < bar.open ? this.downSoft : this.upSoft };
  }

  #paint() {
    this.chart.applyOptions(look());
    const [upColor, downColor] = [color("--up"), color("--down")];
    this.upSoft = color("--up-soft");
    this.downSoft = color("--down-soft");
    this.bars.applyOptions({ upColor, downColor, wickUpColor: upColor, wickDownColor: downColor });
    this.redraw();
    this.plots.paint();
  }

  #watch(onEdge, onCrosshair) {
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range && range.from < EDGE) onEdge();
    });
    this.chart.subscribeCrosshairMove((moved) => onCrosshair(moved.seriesData.get(this.bars), moved));
  }

  /** Keep the attribution's link, but do not tell its target which session somebody looks at. */
  #anonymous() {
    const logo = byId("tv-attr-logo");
    if (!logo) return;
    logo.href = "https://www.tradingview.com/";
    logo.rel = "noopener noreferrer";
  }
}
