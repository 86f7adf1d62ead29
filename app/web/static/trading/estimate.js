// What an order would come to, before it is placed: its value, and what a stop loss puts at risk.

import { decimal, money } from "../common/format.js";

/** The quantity of an order at a price: of its own size, else of the session's sizing; fees are left out. */
function quantity(order, price, equity, sizing) {
  const { qty, cash, equityPct } = order.qty || order.cash || order.equityPct ? order : (sizing ?? { equityPct: 100 });
  if (qty) return qty;
  return cash ? cash / price : (equity * equityPct) / 100 / price;
}

/** A sentence such as `About 0.05 for 2,780.00; the stop loss risks 27.80 (0.28 % of the equity).`; empty without a price. */
export function estimate(order, lastPrice, equity, sizing) {
  const price = order.limitPrice ?? order.stopPrice ?? lastPrice;
  if (!(price > 0)) return "";
  const qty = quantity(order, price, equity, sizing);
  const risk = order.stopLoss ? Math.abs(price - order.stopLoss) * qty : null;
  const atRisk = risk === null ? "" : `; the stop loss risks ${money(risk)} (${((100 * risk) / equity).toFixed(2)} % of the equity)`;
  return `About ${decimal(Number(qty.toPrecision(6)))} for ${money(qty * price)}${atRisk}.`;
}
