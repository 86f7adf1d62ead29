// What is under the pointer: a candle's numbers, the strategy's lines, or the fill of an arrow with its trades.

import { byId, make } from "../common/dom.js";
import { masked, symbolText } from "../common/display.js";
import { decimal, gain, money, time } from "../common/format.js";
import { priceText } from "../common/prices.js";

/** Show the numbers of a candle of a symbol, with the lines drawn at it. */
export function showLegend(symbol, bar, plots) {
  if (!bar) return;
  const change = (100 * (bar.close - bar.open)) / bar.open;
  const values = ["open", "high", "low", "close"].map((name) => figure(name, priceText(symbol, bar[name])));
  const lines = plots.map(({ name, number, value }) => make("span", { class: `plot-${number}` }, `${name} ${decimal(value)} `));
  byId("legend").replaceChildren(time(bar.time * 1000), " ", ...values, figure("volume", decimal(bar.volume)), gain(change, (percent) => `${percent >= 0 ? "+" : "−"}${Math.abs(percent).toFixed(2)} %`), " ", ...lines);
}

const figure = (name, text) => make("span", {}, make("b", {}, name[0].toUpperCase()), ` ${text} `);

/** Show the fill under the pointer and the trades that it closed; `hovered` is null where there is none. */
export function showHover(hovered, point) {
  const box = byId("hover");
  box.hidden = !hovered;
  if (!hovered) return;
  const { side, qty, symbol, price, fee } = hovered.fill.payload;
  const head = make("p", {}, make("b", {}, side), ` ${decimal(qty)} ${symbolText(symbol)} at ${priceText(symbol, price)}, fee ${money(fee)}`);
  box.replaceChildren(head, make("p", {}, time(hovered.fill.ts)), ...hovered.trades.map(trade));
  const room = box.parentElement.clientWidth;
  box.style.left = `${Math.max(8, Math.min(point.x + 16, room - box.offsetWidth - 8))}px`;
  box.style.top = `${point.y + 56}px`;
}

function trade({ payload }) {
  const { symbol, side, entryPrice, exitPrice, netPnl, holdBars, reason } = payload;
  const text = `${side.toLowerCase()} closed: ${priceText(symbol, entryPrice)} to ${priceText(symbol, exitPrice)} in ${holdBars} candles${reason ? `, ${masked(reason)}` : ""}: `;
  return make("p", {}, text, gain(netPnl));
}
