// The account at the end of the log: positions, open orders, cash and equity.

import { client } from "../common/api.js";

const PAUSE_MS = 400;
const TYPES = new Set(["order", "fill", "control", "funding", "interest"]);

export class Account {
  positions = [];
  openOrders = [];
  seq = -1;
  #reading = false;
  #timer = null;

  /** `onChange()` is called when the account was read. */
  constructor(session, onChange) {
    this.id = session.id;
    this.onChange = onChange;
  }

  /** Read the account again if events may have changed it. */
  add(events) {
    if (events.some(({ type, seq }) => seq > this.seq && TYPES.has(type))) this.refresh();
  }

  position(symbol) {
    return this.positions.find((position) => position.symbol === symbol && position.qty !== 0);
  }

  /** Read the account: one call at a time, and only a few in a second. */
  refresh() {
    if (this.#timer !== null) return;
    if (this.#reading) this.#wait();
    else this.#read();
  }

  #wait() {
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.refresh();
    }, PAUSE_MS);
  }

  async #read() {
    this.#reading = true;
    try {
      Object.assign(this, await client.account(this.id));
      this.onChange();
    } catch (error) {
      if (error.mayPass) this.#wait(); // The page shows elsewhere that the server is away.
    } finally {
      this.#reading = false;
    }
  }
}
