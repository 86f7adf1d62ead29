// The price chart: candles, volume, the strategy's lines and its fills, for one symbol and timeframe at a time.

import { CandlestickSeries, createChart, HistogramSeries } from "/static/vendor/lightweight-charts.js";
import { byId } from "../common/dom.js";
import { color, onTheme } from "../common/theme.js";
import { look } from "./chart_theme.js";
import { Markers } from "./markers.js";
import { minus } from "../common/format.js";
import { Plots } from "./plots.js";
import { CandleSeries, decimalsOf, keyOf, placeAt } from "./series.js";
import { Span } from "./trade_line.js";

const FEW = 200;
const EDGE = 20;

export class Prices {
  key = "";
  trimmed = false;
  candles = new CandleSeries();
  #decimals = 0;
  #wanted = null;

  /**
   * `onOldest()` and `onNewest()` are called when the first or last candle comes into view; `onCrosshair(bar, hovered)`
   * as the pointer moves.
   */
  constructor(session, { onOldest, onNewest, onCrosshair }) {
    this.timeframe = session.timeframe;
    this.key = keyOf(session.symbols[0], session.timeframe);
    this.chart = createChart(byId("prices"), { autoSize: true, ...look() });
    this.bars = this.chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.volume = this.chart.addSeries(HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
    this.volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.markers = new Markers(this.bars, session, this.candles);
    this.plots = new Plots(this.chart, session);
    this.span = new Span(this.chart);
    byId("latest").addEventListener("click", () => this.toEnd());
    byId("fit").addEventListener("click", () => this.chart.timeScale().fitContent());
    this.#watch(onOldest, onNewest, onCrosshair);
    this.#paint();
    onTheme(() => this.#paint());
    this.#anonymous();
  }

  /** Draw a batch: a few candles are appended, many are drawn at once. */
  add(events) {
    const candles = events.filter((event) => event.type === "candle");
    const { added, cut } = this.candles.add(candles);
    if (cut.size) this.trimmed = true;
    const count = added.get(this.key) ?? 0;
    const first = count === this.candles.of(this.key).length;
    if (count && (first || count > FEW || cut.has(this.key))) this.redraw();
    else if (count) this.#append(count);
    const begin = this.bounds()?.[0];
    this.plots.add(events, (symbol) => this.candles.of(keyOf(symbol, this.timeframe)).at(-1)?.close, begin);
    this.markers.add(events, this.key, begin);
  }

  /** Put newer events behind without moving what is looked at. */
  append(events) {
    const range = this.#wanted ?? this.chart.timeScale().getVisibleLogicalRange();
    this.add(events);
    if (range && !this.trimmed) this.#look(range);
  }

  /** Put older events in front; returns whether there was room for any of them. */
  prepend(events) {
    const [wanted, before] = [this.#wanted, this.candles.of(this.key).length];
    if (!this.candles.prepend(events.filter(({ type }) => type === "candle"))) return this.#full();
    const first = this.bounds()?.[0];
    this.redraw();
    const more = this.candles.of(this.key).length - before;
    if (wanted) this.#look({ from: wanted.from + more, to: wanted.to + more });
    this.plots.prepend(events, first);
    this.markers.add(events, this.key, first);
    return true;
  }

  /** Show another symbol or timeframe. */
  choose(key) {
    this.key = key;
    this.#decimals = 0;
    this.span.hide();
    this.plots.choose(key.split(" ")[0]);
    this.redraw();
    this.toEnd();
  }

  redraw() {
    const bars = this.candles.of(this.key);
    this.#spell(bars.slice(-FEW));
    this.bars.setData(bars);
    this.volume.setData(bars.map((bar) => this.#volume(bar)));
    this.plots.trim(bars[0]?.time);
    this.markers.draw(this.key, bars[0]?.time);
  }

  clear() {
    this.trimmed = false;
    this.#forget();
    this.span.hide();
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
    this.#look({ from: place - 60, to: place + 60 });
  }

  /** Bring a trade into the middle, with a line from its entry to its exit. */
  trace(trade) {
    const [from, to] = this.markers.ends(trade);
    const [first, last] = [from, to].map((time) => placeAt(this.candles.of(this.key), time));
    if (first < 0) return this.centre(trade.exitTs);
    const margin = Math.max(30, last - first);
    this.#look({ from: first - margin, to: last + margin });
    return this.span.show(trade, from, to);
  }

  /** Move to the newest candle at once: an animation whose last frames come late would stop short of it. */
  toEnd() {
    this.#forget();
    const scale = this.chart.timeScale();
    scale.scrollToPosition(scale.options().rightOffset, false);
  }

  /** Show a range of candles, counted from the first; the chart takes it over with its next frame. */
  #look(range) {
    this.#wanted = range;
    this.chart.timeScale().setVisibleLogicalRange(range);
    requestAnimationFrame(() => this.#wanted === range && this.#forget());
  }

  #forget() {
    this.#wanted = null;
  }

  #full() {
    this.trimmed = true;
    return false;
  }

  #append(count) {
    this.#spell(this.candles.of(this.key).slice(-count));
    for (const bar of this.candles.of(this.key).slice(-count)) {
      this.bars.update(bar);
      this.volume.update(this.#volume(bar));
    }
  }

  /** Write prices with as many decimals as any of the candles has had. */
  #spell(bars) {
    const decimals = Math.max(this.#decimals, decimalsOf(bars));
    if (decimals === this.#decimals) return;
    this.#decimals = decimals;
    const { format } = new Intl.NumberFormat("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
    this.bars.applyOptions({ priceFormat: { type: "custom", minMove: 10 ** -decimals, formatter: (price) => minus(format(price)) } });
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

  #watch(onOldest, onNewest, onCrosshair) {
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      const behind = range ? this.candles.of(this.key).length - 1 - range.to : 0;
      byId("latest").hidden = behind < 1 || !byId("still").hidden;
      if (range && range.from < EDGE) onOldest();
      if (range && behind < EDGE) onNewest();
    });
    this.chart.subscribeCrosshairMove((moved) => onCrosshair(this.#kept(moved.seriesData.get(this.bars)), moved));
  }

  /** The candle behind what the chart draws, which knows no volume. */
  #kept(drawn) {
    const bars = this.candles.of(this.key);
    return drawn && bars[placeAt(bars, drawn.time)];
  }

  /** Keep the attribution's link, but do not tell its target which session somebody looks at. */
  #anonymous() {
    const logo = byId("tv-attr-logo");
    if (!logo) return;
    logo.href = "https://www.tradingview.com/";
    logo.rel = "noopener noreferrer";
  }
}
