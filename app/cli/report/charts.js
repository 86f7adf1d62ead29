// The charts of a report: price with trades, equity and drawdown over one time axis. `charts` is the library.

const data = JSON.parse(document.getElementById("data").textContent);
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const box = document.getElementById("chart");
const choice = document.getElementById("symbol");

function options() {
  const [text, line] = [style("--text"), style("--line")];
  return {
    autoSize: true,
    layout: { background: { color: style("--back") }, textColor: text, panes: { separatorColor: line } },
    grid: { vertLines: { color: line }, horzLines: { color: line } },
    rightPriceScale: { borderColor: line },
    timeScale: { borderColor: line, timeVisible: true, minBarSpacing: 0.01 },
    handleScroll: { vertTouchDrag: false },
  };
}

const chart = charts.createChart(box, options());
const [up, down] = [style("--up"), style("--down")];
const shown = (digits) => ({
  type: "custom",
  minMove: 10 ** -digits,
  formatter: (value) => value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
});
const price = chart.addSeries(charts.CandlestickSeries, {
  upColor: up, wickUpColor: up, borderVisible: false, downColor: down, wickDownColor: down, priceFormat: shown(data.digits),
});
const markers = charts.createSeriesMarkers(price, []);
const equity = chart.addSeries(
  charts.LineSeries,
  { color: "#3e63dd", lineWidth: 2, title: "equity", priceFormat: shown(2) },
  1,
);
const drawdown = chart.addSeries(
  charts.AreaSeries,
  {
    lineColor: down, topColor: down, bottomColor: "transparent", lineWidth: 1,
    title: "drawdown %", priceFormat: shown(2), invertFilledArea: true,
  },
  2,
);
const [first, second, third] = chart.panes();
first.setStretchFactor(5);
second.setStretchFactor(3);
third.setStretchFactor(2);

const point = ([time, value]) => ({ time, value });
const bar = ([time, open, high, low, close]) => ({ time, open, high, low, close });

/** The entry and the exit of a trade as arrows: green where it won, red where it lost. */
function arrows([entry, exit, long, profit]) {
  const color = profit > 0 ? up : down;
  const below = { position: "belowBar", shape: "arrowUp", color };
  const above = { position: "aboveBar", shape: "arrowDown", color };
  const [opens, closes] = long ? [below, above] : [above, below];
  return [{ time: entry, ...opens }, { time: exit, ...closes, shape: "circle" }];
}

function show(symbol) {
  const { bars, trades } = data.symbols[symbol];
  price.setData(bars.map(bar));
  markers.setMarkers(trades.flatMap(arrows).sort((a, b) => a.time - b.time));
}

equity.setData(data.equity.map(point));
drawdown.setData(data.drawdown.map(point));
show(Object.keys(data.symbols)[0]);
choice?.addEventListener("change", () => show(choice.value));
chart.timeScale().fitContent();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart.applyOptions(options()));
