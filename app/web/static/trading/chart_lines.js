// What trades show on the chart: the position, each open order, and the prices of the ticket.

import { attempt } from "../common/notice.js";
import { decimal, signed } from "../common/format.js";
import { PriceLines } from "../chart/price_lines.js";
import { cancel, flatten, move, place } from "./calls.js";
import { orderText, sizeText, typeText } from "./order_text.js";

const MAX_ORDERS = 40;
const EXITS = ["stop loss", "take profit"];

export class ChartLines {
  #lines;

  /** `mayTrade()` says whether orders can be changed; `say(sentence)` tells what a change did, `onWhy(orderId)` explains an order. */
  constructor(prices, { session, account, ticket, mayTrade, say, onWhy, onChanged }) {
    this.#lines = new PriceLines(prices);
    Object.assign(this, { id: session.id, prices, account, ticket, mayTrade, say, onWhy, onChanged });
  }

  /** Draw the lines of the symbol on the chart; none while an older part is shown. */
  draw(lookingBack) {
    const { symbol } = this.prices;
    if (lookingBack) return this.#lines.show([]);
    const orders = this.account.openOrders.filter((order) => order.symbol === symbol).slice(-MAX_ORDERS);
    const position = this.account.position(symbol);
    return this.#lines.show([...(position ? [this.#position(position)] : []), ...orders.flatMap((order) => this.#order(order)), ...(this.ticket?.lines() ?? [])]);
  }

  #position(position) {
    const { symbol, qty, avgPrice } = position;
    const last = this.prices.base().at(-1)?.close ?? avgPrice;
    const text = `${qty > 0 ? "Long" : "Short"} ${decimal(Math.abs(qty))} · ${signed((last - avgPrice) * qty)} ·`;
    const close = { text: "Close", label: `Close the position of ${decimal(qty)}`, onclick: () => this.#act(() => flatten(this.id, symbol), () => "The position is being closed.") };
    if (!this.mayTrade()) return { id: "position", price: avgPrice, tone: "position", text, label: "Position", buttons: [] };
    const onMove = (price) => this.#act(() => place(this.id, this.#exit(position, price)), exitText);
    return { id: "position", price: avgPrice, tone: "position", text, label: "Position: move to place a stop loss or take profit", onMove, buttons: [close] };
  }

  /** The exit at a price: a stop where the position would lose from the last price on, else a limit. */
  #exit({ symbol, qty }, price) {
    const last = this.prices.base().at(-1)?.close ?? price;
    const isStop = (price - last) * qty < 0;
    const kind = isStop ? { type: "stop", stopPrice: price } : { type: "limit", limitPrice: price };
    return { symbol, side: qty > 0 ? "sell" : "buy", qty: Math.abs(qty), reduceOnly: true, ...kind };
  }

  /** The lines of an order: its limit, its stop, or both; a market order has none. */
  #order(order) {
    return ["stopPrice", "limitPrice"].filter((name) => order[name] != null).map((name) => this.#orderLine(order, name));
  }

  #orderLine(order, name) {
    const { orderId } = order;
    const kind = EXITS.includes(order.reason) ? order.reason : typeText(order.type);
    const text = `#${orderId} ${order.side.toLowerCase()} ${sizeText(order)} ${kind}`;
    const why = { text: "?", label: `Why is order ${orderId} open`, onclick: () => this.onWhy(orderId) };
    const stop = { text: "×", label: `Cancel order ${orderId}`, onclick: () => this.#act(() => cancel(this.id, orderId), () => `Order ${orderId} is cancelled.`) };
    const trades = this.mayTrade();
    const onMove = trades && order.type !== "trailingStop" ? (price) => this.#act(() => move(this.id, orderId, { [name]: price }), (moved) => movedText(order, moved)) : undefined;
    return { id: `order-${orderId}-${name}`, price: order[name], tone: order.side === "BUY" ? "buy" : "sell", text, label: `${name === "stopPrice" ? "Stop" : "Limit"} of order ${orderId}`, onMove, buttons: trades ? [why, stop] : [why] };
  }

  async #act(work, tell) {
    const result = await attempt(work);
    if (result !== undefined) this.say(tell(result));
    this.onChanged();
  }
}

function exitText({ orderId, type, status, reason }) {
  const name = type === "stop" ? "Stop loss" : "Take profit";
  return status === "rejected" ? `${name}: order ${orderId} was rejected: ${reason}.` : `${name}: order ${orderId} only reduces the position, and is cancelled when it is closed.`;
}

/** A move is a cancellation and a new order; the sentence says so. */
function movedText(order, moved) {
  const paired = EXITS.includes(order.reason) ? " It is no longer paired with the other exit, but only reduces the position." : "";
  const result = moved.status === "rejected" ? `was rejected: ${moved.reason}` : `took its place: ${orderText(moved)}`;
  return `Order ${order.orderId} was cancelled and order ${moved.orderId} ${result}.${paired}`;
}
