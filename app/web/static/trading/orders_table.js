// The table of orders: open ones first, each with its reason one click away.

import { masked, symbolText } from "../common/display.js";
import { byId, make, setText } from "../common/dom.js";
import { decimal, time, whole } from "../common/format.js";
import { priceText } from "../common/prices.js";
import { pricesText, sizeText, typeText } from "./order_text.js";

const MAX_ROWS = 200;

/** Show orders, newest first; `onCancel(orderId)` is missing where nothing may be changed. */
export function showOrders(orders, { onWhy, onCancel }) {
  const open = orders.filter((order) => order.isOpen);
  const shown = [...open, ...orders.filter((order) => !order.isOpen)].slice(0, MAX_ROWS);
  byId("orders-empty").hidden = shown.length > 0;
  setText(byId("orders-shown"), orders.length ? `${whole(open.length)} open, ${whole(orders.length - open.length)} ended` : "");
  byId("orders-rows").replaceChildren(...shown.map((order) => row(order, onWhy, onCancel)));
}

function row(order, onWhy, onCancel) {
  const { orderId, symbol, side } = order;
  const why = make("button", { type: "button", class: "quiet", "aria-label": `Why: order ${orderId}`, onclick: () => onWhy(orderId) }, "Why");
  const cancel = order.isOpen && onCancel ? make("button", { type: "button", class: "quiet", "aria-label": `Cancel order ${orderId}`, onclick: () => onCancel(orderId) }, "Cancel") : null;
  const cells = [
    make("th", { scope: "row" }, `#${orderId}`),
    make("td", {}, time(order.placedTs)),
    make("td", { class: side === "BUY" ? "buy" : "sell" }, side.toLowerCase()),
    make("td", {}, symbolText(symbol)),
    make("td", {}, typeText(order.type)),
    make("td", { class: "number" }, sizeText(order)),
    make("td", { class: "number" }, pricesText(order)),
    make("td", {}, order.status),
    make("td", { class: "number" }, order.avgPrice === null ? "" : `${decimal(order.filledQty)} at ${priceText(symbol, order.avgPrice)}`),
    make("td", { class: "text" }, masked(order.reason ?? "")),
    make("td", { class: "actions" }, why, cancel),
  ];
  return make("tr", { "data-order": orderId, class: order.isOpen ? "open" : null }, ...cells);
}
