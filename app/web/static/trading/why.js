// Why an order filled, or did not: its changes, its fills, the candle of each, and the rule that decided.

import { get, SESSIONS } from "../common/api.js";
import { masked, symbolText } from "../common/display.js";
import { byId, make, setText } from "../common/dom.js";
import { decimal, time } from "../common/format.js";
import { priceText } from "../common/prices.js";
import { attempt } from "../common/notice.js";
import { orderText } from "./order_text.js";

const NEAR = 300;
const RULES = {
  next_open: "A market order fills at the open of the next candle.",
  same_close: "It filled at once, at the close of the last candle.",
  stop: "The price reached the stop. It fills there, or at the open if that was already past the stop.",
  through: "The price went through the limit. It fills at the limit, or at the open if that was better.",
  touch: "The price touched the limit. It fills at the limit, or at the open if that was better.",
};

export class Why {
  /** `orders` are the orders known; `lowest(symbol, fromMs)` and `highest` are extremes of the candles since a time. */
  constructor(session, orders, prices) {
    Object.assign(this, { session, orders, prices });
    this.path = `${SESSIONS}/${session.id}/events`;
  }

  /** Open the dialog for an order. */
  show(orderId) {
    return attempt(async () => {
      const order = await this.orders.complete(orderId);
      if (!order) throw new Error(`Order ${orderId} is further back than the last 10,000 changes of orders.`);
      const fills = await Promise.all(order.fills.map((fill) => this.#fill(fill)));
      setText(byId("why-title"), `Order ${orderId}`);
      byId("why-body").replaceChildren(make("p", {}, make("b", {}, orderText(order)), order.tag ? ` · ${masked(order.tag)}` : ""), make("p", {}, this.#conclusion(order)), ...fills, changes(order));
      if (!byId("why").open) byId("why").showModal();
    });
  }

  /** One sentence: what the order waits for, or why it ended. */
  #conclusion(order) {
    if (order.status === "rejected") return `Rejected: ${masked(order.reason)}.`;
    if (order.status === "cancelled" || order.status === "expired") return `It ${order.status === "expired" ? "expired" : "was cancelled"}: ${masked(order.reason)}.${order.fills.length ? "" : ` ${this.#missed(order)}`}`;
    if (!order.isOpen) return `Filled ${decimal(order.filledQty)} at ${priceText(order.symbol, order.avgPrice)}.`;
    if (order.type === "market") return "It is open: a market order fills at the open of the next real candle.";
    return `It is open. ${this.#missed(order)}`;
  }

  /** How far the market stayed away from an order's price. */
  #missed(order) {
    const buy = order.side === "BUY";
    const isStop = order.stopPrice != null && order.status !== "triggered";
    const price = isStop ? order.stopPrice : order.limitPrice;
    if (price == null) return "";
    const rises = buy === isStop; // The price must rise to the order.
    const text = priceText(order.symbol, price);
    const suffices = isStop || this.session.limitFill === "touch"; // Otherwise the price must go through the limit.
    const reach = suffices ? `of ${text} or ${rises ? "higher" : "lower"}` : `${rises ? "above" : "below"} ${text}`;
    const need = `It ${order.isOpen ? "needs" : "needed"} a price ${reach}.`;
    const extreme = this.#extreme(order, rises);
    return extreme === null ? need : `${need} The ${rises ? "highest" : "lowest"} since it was placed is ${priceText(order.symbol, extreme)}.`;
  }

  #extreme({ symbol, placedTs, changes: all, isOpen }, rises) {
    const end = isOpen ? Infinity : all.at(-1).ts;
    const bars = this.prices.candles.of(`${symbol} ${this.session.timeframe}`).filter((bar) => bar.time * 1000 >= placedTs && bar.time * 1000 < end);
    if (!bars.length) return null;
    return rises ? Math.max(...bars.map(({ high }) => high)) : Math.min(...bars.map(({ low }) => low));
  }

  async #fill(fill) {
    const { symbol, qty, price, fee, slippage, policy } = fill.payload;
    const candle = await this.#candle(fill);
    const figures = { Quantity: decimal(qty), Price: String(price), Fee: String(fee), Slippage: slippage ? `${slippage} per unit` : "none", Rule: policy };
    const bar = candle && `${symbolText(symbol)} candle: open ${priceText(symbol, candle.open)}, high ${priceText(symbol, candle.high)}, low ${priceText(symbol, candle.low)}, close ${priceText(symbol, candle.close)}.`;
    return make("section", {}, make("h3", {}, "Fill at ", time(fill.ts)), make("p", {}, RULES[policy] ?? ""), make("dl", { class: "figures" }, ...Object.entries(figures).map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text)))), candle ? make("p", { class: "hint" }, bar, " It opened at ", time(candle.openTimeMs), ".") : null);
  }

  /** The candle that filled: the newest one in the log before the fill. */
  async #candle({ seq, payload }) {
    const from = Math.max(1, seq - NEAR);
    const { events } = await get(`${this.path}?types=candle&fromSeq=${from}&limit=${NEAR}`);
    const own = events.filter((event) => event.seq < seq && event.payload.symbol === payload.symbol && event.payload.timeframe === this.session.timeframe);
    return own.at(-1)?.payload.candle;
  }
}

function changes(order) {
  const rows = order.changes.map(({ seq, ts, payload }) => make("tr", {}, make("th", { scope: "row" }, String(seq)), make("td", {}, time(ts)), make("td", {}, payload.status), make("td", {}, masked(payload.reason ?? ""))));
  const head = ["Seq", "Time", "Status", "Reason"].map((text) => make("th", { scope: "col" }, text));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Changes of the order" }, make("table", { class: "plain", "aria-label": "Changes" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)));
}
