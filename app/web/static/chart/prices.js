// The price chart of one symbol and timeframe: candles, volume, the strategy's lines and fills.

import { CandlestickSeries, createChart, HistogramSeries } from "../vendor/lightweight-charts.js";
import { byId } from "../common/dom.js";
import { onZone } from "../common/display.js";
import { timeframeMs } from "../common/format.js";
import { decimalsOf, priceText } from "../common/prices.js";
import { color, onTheme } from "../common/theme.js";
import { chartOptions } from "./theme.js";
import { Markers } from "./markers.js";
import { Plots } from "./plots.js";
import { CandleSeries, keyOf, indexAt } from "./series.js";
import { TradeLine } from "./trade_line.js";

const MAX_APPENDED = 200;
const EDGE = 20;

export class Prices {
  key = "";
  trimmed = false;
  candles = new CandleSeries();
  /** The open time in seconds of the last candle to show; Infinity while nothing is hidden. */
  until = Infinity;
  #listeners = [];
  #decimals = null;
  #requested = null;

  /**
   * `onOldest()` and `onNewest()` are called when the first or last candle comes into view; `onCrosshair(bar, hovered)`
   * as the pointer moves.
   */
  constructor(session, { onOldest, onNewest, onCrosshair }) {
    this.timeframe = session.timeframe;
    this.key = keyOf(session.symbols[0], session.timeframe);
    this.chart = createChart(byId("prices"), { autoSize: true, ...chartOptions() });
    this.bars = this.chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.volume = this.chart.addSeries(HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
    this.volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.markers = new Markers(this.bars, session, this.candles);
    this.plots = new Plots(this.chart, session);
    this.tradeLine = new TradeLine(this.chart);
    byId("latest").addEventListener("click", () => this.toEnd());
    byId("fit").addEventListener("click", () => this.chart.timeScale().fitContent());
    this.#watch(onOldest, onNewest, onCrosshair);
    this.#paint();
    onTheme(() => this.#paint());
    onZone(() => this.#paint());
    this.#cleanLogoLink();
  }

  get symbol() {
    return this.key.split(" ")[0];
  }

  /** Call back after the candles shown have changed, with the number of candles appended; null after any other change. */
  onCandles(listener) {
    this.#listeners.push(listener);
  }

  /** The candles of a key, oldest first, up to the time that is looked back to. */
  shown(key = this.key) {
    const bars = this.candles.of(key);
    if (this.until === Infinity) return bars;
    const closed = this.until + (timeframeMs(this.timeframe) - timeframeMs(key.split(" ")[1])) / 1000;
    return bars.slice(0, indexAt(bars, closed) + 1);
  }

  /** The candles of the session's own timeframe, from which longer ones are built. */
  base() {
    return this.shown(keyOf(this.symbol, this.timeframe));
  }

  /** Show no candle that opens after a time in seconds; Infinity shows all. */
  showUntil(seconds) {
    if (seconds === this.until) return;
    this.until = seconds;
    this.tradeLine.hide();
    this.plots.showUntil(seconds);
    this.redraw();
    this.toEnd();
  }

  /** Draw a batch: a few candles are appended, many are drawn at once. */
  add(events) {
    const candles = events.filter((event) => event.type === "candle");
    const { added, cut } = this.candles.add(candles);
    if (cut.size) this.trimmed = true;
    const count = added.get(this.key) ?? 0;
    const first = count === this.candles.of(this.key).length;
    if (this.until !== Infinity) {
      if (cut.has(this.key)) this.redraw();
    } else if (count && (first || count > MAX_APPENDED || cut.has(this.key))) this.redraw();
    else if (count) this.#append(count);
    else if (added.size) this.#notify(0);
    const begin = this.bounds()?.[0];
    this.plots.add(events, (symbol) => this.candles.of(keyOf(symbol, this.timeframe)).at(-1)?.close, begin);
    this.markers.add(events, this.key, begin, this.until);
  }

  /** Add newer events at the end without moving the visible range. */
  append(events) {
    const range = this.#requested ?? this.chart.timeScale().getVisibleLogicalRange();
    this.add(events);
    if (range && !this.trimmed) this.#showRange(range);
  }

  /** Add older events at the beginning; returns whether there was room for any of them. */
  prepend(events) {
    const [requested, before] = [this.#requested, this.candles.of(this.key).length];
    if (!this.candles.prepend(events.filter(({ type }) => type === "candle"))) return this.#markTrimmed();
    const first = this.bounds()?.[0];
    this.redraw();
    const more = this.candles.of(this.key).length - before;
    if (requested) this.#showRange({ from: requested.from + more, to: requested.to + more });
    this.plots.prepend(events, first);
    this.markers.add(events, this.key, first, this.until);
    return true;
  }

  /** Show another symbol or timeframe. */
  choose(key) {
    this.key = key;
    this.#decimals = null;
    this.tradeLine.hide();
    this.plots.choose(key.split(" ")[0]);
    this.redraw();
    this.toEnd();
  }

  redraw() {
    const bars = this.shown();
    this.#setDecimals();
    this.bars.setData(bars);
    this.volume.setData(bars.map((bar) => this.#volume(bar)));
    this.plots.trim(bars[0]?.time);
    this.markers.draw(this.key, bars[0]?.time, this.until);
    this.#notify(null);
  }

  #notify(appended) {
    for (const listener of this.#listeners) listener(appended);
  }

  clear() {
    this.trimmed = false;
    this.until = Infinity;
    this.plots.showUntil(Infinity);
    this.#forgetRange();
    this.tradeLine.hide();
    this.candles.clear();
    this.plots.clear();
    this.markers.clear();
    this.redraw();
  }

  /** Times in seconds of the first and last candle shown; null without any. */
  bounds() {
    const bars = this.shown();
    return bars.length ? [bars[0].time, bars.at(-1).time] : null;
  }

  /** The difference between the highest and the lowest price that the chart has room for; 0 before it is drawn. */
  priceRange() {
    const [top, bottom] = [0, this.chart.panes()[0].getHeight()].map((y) => this.bars.coordinateToPrice(y));
    return top === null || bottom === null ? 0 : Math.abs(top - bottom);
  }

  /** Move the candle of a time to the middle. */
  centre(ms) {
    const bars = this.shown();
    const index = indexAt(bars, ms / 1000);
    if (index < 0) return;
    this.#showRange({ from: index - 60, to: index + 60 });
  }

  /** Move a trade to the middle and draw a line from its entry to its exit. */
  showTrade(trade) {
    const [from, to] = this.markers.candleTimes(trade);
    const [first, last] = [from, to].map((time) => indexAt(this.shown(), time));
    if (first < 0) return this.centre(trade.exitTs);
    const margin = Math.max(30, last - first);
    this.#showRange({ from: first - margin, to: last + margin });
    return this.tradeLine.show(trade, from, to);
  }

  /** Move to the newest candle at once: an animation may stop before it when its last frames come late. */
  toEnd() {
    this.#forgetRange();
    const scale = this.chart.timeScale();
    scale.scrollToPosition(scale.options().rightOffset, false);
  }

  /** Show a range of candles, counted from the first. The chart applies it with its next frame. */
  #showRange(range) {
    this.#requested = range;
    this.chart.timeScale().setVisibleLogicalRange(range);
    requestAnimationFrame(() => this.#requested === range && this.#forgetRange());
  }

  #forgetRange() {
    this.#requested = null;
  }

  #markTrimmed() {
    this.trimmed = true;
    return false;
  }

  #append(count) {
    this.#setDecimals();
    for (const bar of this.candles.of(this.key).slice(-count)) {
      this.bars.update(bar);
      this.volume.update(this.#volume(bar));
    }
    this.#notify(count);
  }

  /** Write prices with as many decimals as any candle of the symbol so far needs. */
  #setDecimals() {
    const { symbol } = this;
    const decimals = decimalsOf(symbol);
    if (decimals === this.#decimals) return;
    this.#decimals = decimals;
    this.bars.applyOptions({ priceFormat: { type: "custom", minMove: 10 ** -decimals, formatter: (price) => priceText(symbol, price) } });
  }

  #volume(bar) {
    return { time: bar.time, value: bar.volume, color: bar.close < bar.open ? this.downSoft : this.upSoft };
  }

  #paint() {
    this.chart.applyOptions(chartOptions());
    const [upColor, downColor] = [color("--up"), color("--down")];
    this.upSoft = color("--up-soft");
    this.downSoft = color("--down-soft");
    this.bars.applyOptions({ upColor, downColor, wickUpColor: upColor, wickDownColor: downColor });
    this.redraw();
    this.plots.paint();
  }

  #watch(onOldest, onNewest, onCrosshair) {
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      const behind = range ? this.shown().length - 1 - range.to : 0;
      byId("latest").hidden = behind < 1 || !byId("looking-back").hidden;
      if (range && range.from < EDGE) onOldest();
      if (range && behind < EDGE) onNewest();
    });
    this.chart.subscribeCrosshairMove((moved) => onCrosshair(this.#candleOf(moved.seriesData.get(this.bars)), moved));
  }

  /** The candle of a bar of the chart, which does not hold the volume. */
  #candleOf(drawn) {
    const bars = this.shown();
    return drawn && bars[indexAt(bars, drawn.time)];
  }

  /** Keep the attribution's link, but do not send its target the address of this page. */
  #cleanLogoLink() {
    const logo = byId("tv-attr-logo");
    if (!logo) return;
    logo.href = "https://www.tradingview.com/";
    logo.rel = "noopener noreferrer";
  }
}
