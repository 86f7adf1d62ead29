// Orders in words.

import { symbolText } from "../common/display.js";
import { decimal } from "../common/format.js";
import { priceText } from "../common/prices.js";

const TYPES = { stop_limit: "stop-limit", stopLimit: "stop-limit", trailing_stop: "trailing stop", trailingStop: "trailing stop" };
const OPEN = ["accepted", "triggered", "partial"];

export const isOpen = (status) => OPEN.includes(status);
export const typeText = (type) => TYPES[type] ?? type;

/** `0.1`, or the size that is fixed when the order fills: `1,000 in cash`, `50 % of the equity`. */
export function sizeText({ qty, sizing }) {
  if (qty !== null && qty !== undefined) return decimal(qty);
  if (sizing?.cash !== undefined) return `${decimal(sizing.cash)} in cash`;
  if (sizing?.equityPct !== undefined) return `${decimal(sizing.equityPct)} % of the equity`;
  return "";
}

/** `stop 40,000.00, limit 39,900.00`, or nothing for a market order. */
export function pricesText({ symbol, stopPrice, limitPrice }) {
  const parts = [stopPrice != null && `stop ${priceText(symbol, stopPrice)}`, limitPrice != null && `limit ${priceText(symbol, limitPrice)}`];
  return parts.filter(Boolean).join(", ");
}

/** `buy 0.1 BTCUSDT limit (limit 41,000.00)`. */
export function orderText(order) {
  const prices = pricesText(order);
  return [order.side.toLowerCase(), sizeText(order), symbolText(order.symbol), typeText(order.type), prices && `(${prices})`].filter(Boolean).join(" ");
}
