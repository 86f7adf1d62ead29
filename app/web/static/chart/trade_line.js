// One trade on the candles: a line from its entry to its exit.

import { LineSeries, LineStyle } from "../vendor/lightweight-charts.js";
import { color } from "../common/theme.js";

export class TradeLine {
  #series = null;

  constructor(chart) {
    this.chart = chart;
  }

  /** Draw a trade between two candle times in seconds; a trade within one candle has no line. */
  show({ entryPrice, exitPrice, netPnl }, from, to) {
    this.hide();
    if (!(from < to)) return;
    const options = { color: color(netPnl < 0 ? "--down" : "--up"), lineWidth: 3, lineStyle: LineStyle.Dashed, priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false };
    this.#series = this.chart.addSeries(LineSeries, options);
    this.#series.setData([{ time: from, value: entryPrice }, { time: to, value: exitPrice }]);
  }

  hide() {
    if (this.#series) this.chart.removeSeries(this.#series);
    this.#series = null;
  }
}
