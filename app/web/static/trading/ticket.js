// The order ticket. What it holds is placed by its buttons or by the keys B and S; its prices are lines on the chart too.

import { byId, setText } from "../common/dom.js";
import { symbolText } from "../common/display.js";
import { decimal } from "../common/format.js";
import { priceText, roundPrice } from "../common/prices.js";
import { cancelAll, flatten, place } from "./calls.js";
import { estimate } from "./estimate.js";
import { orderText } from "./order_text.js";

const TAKEN = ["created", "running", "paused"];
/** Type of order -> the fields of the ticket that it needs. */
const NEEDS = { market: [], limit: ["limitPrice"], stop: ["stopPrice"], stopLimit: ["stopPrice", "limitPrice"], trailingStop: ["trail"] };
const PRICES = { limitPrice: "Limit", stopPrice: "Stop", stopLoss: "Stop loss", takeProfit: "Take profit" };
const EXITS = ["stopLoss", "takeProfit"];
/** Where a price is set first, from the last price: parts of the range of prices on the chart, so that its line is in view. */
const FIRST = { limitPrice: -0.1, stopPrice: 0, stopLoss: -0.25, takeProfit: 0.25 };

export class Ticket {
  symbol = "";
  #busy = false;

  /** `market()` returns the symbol, its last price, the range of prices on the chart and the equity, `blocked()` why nothing may be placed now; `onPlaced(orderId)` follows a call. */
  constructor(session, { market, blocked, onPlaced, onChange }) {
    Object.assign(this, { session, market, blocked, onPlaced, onChange });
    byId("ticket-type").addEventListener("change", () => this.#choose());
    byId("ticket-form").addEventListener("input", onChange);
    for (const name of EXITS) byId(`ticket-with-${name}`).addEventListener("change", () => this.#choose());
    byId("ticket-form").addEventListener("submit", (submit) => {
      submit.preventDefault();
      this.place(submit.submitter?.value ?? "buy");
    });
    byId("ticket-flatten").addEventListener("click", () => this.flatten());
    byId("ticket-cancel").addEventListener("click", () => this.cancelAll());
    byId("ticket-why").addEventListener("click", () => this.onWhy(this.lastOrder));
    this.#choose();
  }

  /** Allow or forbid orders, as the session's status says. */
  show(session) {
    this.session = session;
    const { symbol } = this.market();
    setText(byId("ticket-symbol"), symbolText(symbol));
    const reason = this.#reason();
    byId("ticket-fields").disabled = reason !== "";
    if (symbol !== this.symbol) {
      this.symbol = symbol;
      this.#refill();
    }
    this.#estimate();
    if (reason !== this.reason) setText(byId("ticket-state"), reason);
    this.reason = reason;
  }

  /** The lines of the ticket's prices; moving one changes its field. */
  lines() {
    if (byId("ticket-fields").disabled) return [];
    return this.#shownPrices().filter((name) => this.#number(name) > 0).map((name) => ({
      id: `ticket-${name}`,
      price: this.#number(name),
      tone: "draft",
      text: PRICES[name],
      label: `${PRICES[name]} of the ticket`,
      onMove: (price) => {
        this.#field(name).value = price;
        this.onChange();
      },
      buttons: [],
    }));
  }

  /** Place the order of the ticket; `side` is `buy` or `sell`. */
  place(side) {
    return this.#do(async () => {
      const order = this.#order(side);
      const problem = this.#problem(order);
      if (problem) throw new Error(problem);
      return this.#tell(await place(this.session.id, order));
    });
  }

  /** Close the position of the symbol. */
  flatten() {
    return this.#do(async () => {
      const { orders } = await flatten(this.session.id, this.market().symbol);
      return orders.length ? this.#tell(orders[0]) : "There is no position to close.";
    });
  }

  cancelAll() {
    return this.#do(async () => {
      const { cancelled } = await cancelAll(this.session.id);
      return cancelled.length ? `Cancelled: order ${cancelled.join(", ")}.` : "There is no open order.";
    });
  }

  /** Make a call and show what came of it; one at a time. */
  async #do(work) {
    if (this.#reason()) return this.#say(this.#reason(), true);
    if (this.#busy) return undefined;
    this.#busy = true;
    this.#say("Sending …");
    try {
      this.#say(await work());
    } catch (error) {
      this.#say(error.message, true);
    } finally {
      this.#busy = false;
    }
    return this.onPlaced();
  }

  #say(sentence, isProblem = false) {
    byId("ticket-state").classList.toggle("negative", isProblem);
    byId("ticket-why").hidden = true;
    setText(byId("ticket-state"), sentence);
  }

  /** What became of an order, in a sentence. */
  #tell(order) {
    this.lastOrder = order.orderId;
    setTimeout(() => (byId("ticket-why").hidden = false));
    const name = `Order ${order.orderId}`;
    if (order.status === "rejected") return `${name} was rejected: ${order.reason}.`;
    if (order.status === "filled") return `${name}: ${order.side === "BUY" ? "bought" : "sold"} ${decimal(order.filledQty)} at ${priceText(order.symbol, order.avgPrice)}.`;
    const wait = order.type === "market" ? "fills at the next open" : "waits for its price";
    return `${name} ${wait}: ${orderText(order)}.`;
  }

  #order(side) {
    const type = byId("ticket-type").value;
    const size = byId("ticket-size").value;
    const trail = byId("ticket-trail-unit").value;
    const order = { symbol: this.market().symbol, side, type };
    if (size !== "") order[byId("ticket-unit").value] = Number(size);
    for (const name of this.#shownPrices()) order[name] = this.#number(name);
    if (type === "trailingStop") order[trail] = Number(byId("ticket-trail").value);
    if (byId("ticket-reduceOnly").checked) order.reduceOnly = true;
    if (byId("ticket-goodFor").value !== "") order.goodForCandles = Number(byId("ticket-goodFor").value);
    if (byId("ticket-fill").value) order.fill = byId("ticket-fill").value;
    return order;
  }

  /** What is missing in an order, or wrong with its exits; the server checks the rest. */
  #problem(order) {
    const missing = NEEDS[order.type].find((name) => !(this.#number(name) > 0));
    if (missing) return `${PRICES[missing] ?? "Distance"}: a ${order.type} order needs it.`;
    const entry = order.limitPrice ?? order.stopPrice ?? this.market().price;
    const sign = order.side === "buy" ? 1 : -1;
    if (entry && order.stopLoss && (entry - order.stopLoss) * sign <= 0) return this.#wrongSide("stopLoss", order, sign > 0 ? "below" : "above");
    if (entry && order.takeProfit && (order.takeProfit - entry) * sign <= 0) return this.#wrongSide("takeProfit", order, sign > 0 ? "above" : "below");
    return "";
  }

  #estimate() {
    const { price, equity } = this.market();
    setText(byId("ticket-estimate"), byId("ticket-fields").disabled ? "" : estimate(this.#order("buy"), price, equity, this.session.sizing));
  }

  #wrongSide(name, order, where) {
    return `${PRICES[name]} ${priceText(order.symbol, order[name])}: for a ${order.side} it must be ${where} the entry. Drag its line, or leave it out.`;
  }

  #reason() {
    if (!TAKEN.includes(this.session.status)) return `The session is ${this.session.status}; it takes no more orders.`;
    return this.blocked();
  }

  #shownPrices() {
    const exits = EXITS.filter((name) => byId(`ticket-with-${name}`).checked);
    return [...NEEDS[byId("ticket-type").value].filter((name) => name in PRICES), ...exits];
  }

  /** Show the fields of the chosen type and exits, and fill empty ones with prices near the last one. */
  #choose() {
    const type = byId("ticket-type").value;
    const shown = [...this.#shownPrices(), ...NEEDS[type]];
    for (const name of [...Object.keys(PRICES), "trail"]) this.#field(name).closest(".field").hidden = !shown.includes(name);
    this.#refill(true);
    this.onChange();
  }

  /** Fill the shown price fields from the last price; with `empty` only those that are empty. */
  #refill(empty = false) {
    const { symbol, price, range } = this.market();
    for (const name of Object.keys(PRICES)) {
      const shown = this.#shownPrices().includes(name);
      if (empty && shown && this.#field(name).value !== "") continue;
      this.#field(name).value = shown && price ? roundPrice(symbol, Math.max(price + FIRST[name] * range, price / 2)) : "";
    }
  }

  #field = (name) => byId(`ticket-${name}`);
  #number = (name) => Number(this.#field(name).value);
}
