// What the page knows about orders: each with its changes and fills, from the events that were read or streamed.

import { get, SESSIONS } from "../common/api.js";
import { isOpen } from "./order_text.js";

const READ_FIRST = 1000;
const READ_MOST = 10_000;
const MAX_ORDERS = 2000;

export class Orders {
  #orders = new Map();

  constructor(session) {
    this.path = `${SESSIONS}/${session.id}/events`;
  }

  /** Read the last changes of orders and fills. */
  async load(count = READ_FIRST) {
    const { events } = await get(`${this.path}?types=order,fill&tail=${count}`);
    this.add(events);
  }

  /** Take orders and fills from events in any order; returns whether any was new. */
  add(events) {
    let added = false;
    for (const event of events) {
      if ((event.type !== "order" && event.type !== "fill") || !(event.payload.orderId > 0)) continue;
      const { changes, fills } = this.#entry(event.payload.orderId);
      added = insert(event.type === "order" ? changes : fills, event) || added;
    }
    if (this.#orders.size > MAX_ORDERS) this.#forget();
    return added;
  }

  /** Every order that is known, newest first, as its last change says. */
  all() {
    return [...this.#orders.keys()].sort((a, b) => b - a).map((id) => this.find(id)).filter(Boolean);
  }

  /** An order with its `changes`, its `fills` and its mean price; null for one that is not known. */
  find(orderId) {
    const entry = this.#orders.get(orderId);
    if (!entry?.changes.length) return null;
    const { changes, fills } = entry;
    const filledQty = fills.reduce((sum, { payload }) => sum + payload.qty, 0);
    const cost = fills.reduce((sum, { payload }) => sum + payload.qty * payload.price, 0);
    const last = changes.at(-1).payload;
    return { ...last, placedTs: changes[0].ts, filledQty, avgPrice: filledQty ? cost / filledQty : null, isOpen: isOpen(last.status), changes, fills };
  }

  /** An order with all its changes; the beginning of an old one is read first. */
  async complete(orderId) {
    const known = this.find(orderId);
    const begins = known && ["accepted", "rejected"].includes(known.changes[0].payload.status);
    if (!begins) await this.load(READ_MOST);
    return this.find(orderId);
  }

  #entry(orderId) {
    if (!this.#orders.has(orderId)) this.#orders.set(orderId, { changes: [], fills: [] });
    return this.#orders.get(orderId);
  }

  #forget() {
    const ended = [...this.#orders.keys()].sort((a, b) => a - b).filter((id) => !this.find(id)?.isOpen);
    for (const id of ended.slice(0, this.#orders.size - MAX_ORDERS)) this.#orders.delete(id);
  }
}

/** Insert an event by seq unless it is there already. */
function insert(list, event) {
  let index = list.length;
  while (index > 0 && list[index - 1].seq > event.seq) index -= 1;
  if (list[index - 1]?.seq === event.seq) return false;
  list.splice(index, 0, event);
  return true;
}
