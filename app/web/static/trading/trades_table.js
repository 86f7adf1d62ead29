// The table of trades with totals. A row leads to the trade on the chart.

import { get, SESSIONS } from "../common/api.js";
import { masked, symbolText } from "../common/display.js";
import { byId, make, setText } from "../common/dom.js";
import { decimal, gain, money, time, whole } from "../common/format.js";
import { priceText } from "../common/prices.js";

const READ = 1000;
const MAX_ROWS = 200;
const MOST = 5000;

export class TradesTable {
  #trades = new Map();
  #whole = true;

  /** `onSelect(event)` is called with the trade that a user chose. */
  constructor(session, onSelect) {
    this.path = `${SESSIONS}/${session.id}/events`;
    this.onSelect = onSelect;
  }

  async load() {
    const { events } = await get(`${this.path}?types=trade&tail=${READ}`);
    this.#whole = events.length < READ;
    this.add(events);
  }

  /** Take the trades among events, each once; returns whether any was new. */
  add(events) {
    const added = events.filter(({ type, seq }) => type === "trade" && !this.#trades.has(seq));
    for (const event of added) this.#trades.set(event.seq, event);
    if (this.#trades.size > MOST) this.#forget();
    return added.length > 0;
  }

  #forget() {
    this.#whole = false;
    const oldest = [...this.#trades.keys()].sort((a, b) => a - b);
    for (const seq of oldest.slice(0, oldest.length - MOST)) this.#trades.delete(seq);
  }

  draw() {
    const trades = [...this.#trades.values()].sort((a, b) => b.seq - a.seq);
    byId("trades-empty").hidden = trades.length > 0;
    byId("trades-rows").replaceChildren(...trades.slice(0, MAX_ROWS).map((event) => this.#row(event)));
    byId("trades-total").replaceChildren(...(trades.length ? [totals(trades.map(({ payload }) => payload))] : []));
    const rest = trades.length > MAX_ROWS ? `the newest ${MAX_ROWS} of ${whole(trades.length)}` : `${whole(trades.length)}`;
    setText(byId("trades-shown"), trades.length ? `${rest}${this.#whole ? "" : "; totals are of those that were read"}` : "");
  }

  #row(event) {
    const { symbol, side, qty, entryTs, entryPrice, exitTs, exitPrice, fees, netPnl, holdBars, reason } = event.payload;
    const show = make("button", { type: "button", class: "quiet", "aria-label": `Show trade ${event.seq} on the chart`, onclick: () => this.onSelect(event) }, String(event.seq));
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, show),
      make("td", {}, side.toLowerCase()),
      make("td", {}, symbolText(symbol)),
      make("td", { class: "number" }, decimal(qty)),
      make("td", {}, time(entryTs)),
      make("td", { class: "number" }, priceText(symbol, entryPrice)),
      make("td", {}, time(exitTs)),
      make("td", { class: "number" }, priceText(symbol, exitPrice)),
      make("td", { class: "number" }, money(fees)),
      make("td", { class: "number" }, gain(netPnl)),
      make("td", { class: "number" }, whole(holdBars)),
      make("td", { class: "text" }, masked(reason ?? "")),
    );
  }
}

function totals(trades) {
  const sum = (name) => trades.reduce((total, trade) => total + trade[name], 0);
  const won = trades.filter(({ netPnl }) => netPnl > 0).length;
  const label = `${whole(trades.length)} trade${trades.length === 1 ? "" : "s"}, ${whole(won)} won (${((100 * won) / trades.length).toFixed(1)} %)`;
  const bars = sum("holdBars") / trades.length;
  return make("tr", {}, make("th", { scope: "row", colspan: 8 }, label), make("td", { class: "number" }, money(sum("fees"))), make("td", { class: "number" }, gain(sum("netPnl"))), make("td", { class: "number" }, bars.toFixed(1)), make("td", {}, "mean of candles held"));
}
