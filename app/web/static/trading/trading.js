// Everything about trades on the page of a session that has an account: ticket, lines, tables, score.

import { onZone } from "../common/display.js";
import { byId, setText } from "../common/dom.js";
import { announce, attempt } from "../common/notice.js";
import { Account } from "./account.js";
import { cancel } from "./calls.js";
import { ChartLines } from "./chart_lines.js";
import { Orders } from "./orders.js";
import { showOrders } from "./orders_table.js";
import { startScore } from "./score.js";
import { Ticket } from "./ticket.js";
import { TradesTable } from "./trades_table.js";
import { Why } from "./why.js";

/** A fast session changes orders with every frame; their tables follow a few times in a second. */
const TABLES_MS = 300;
const TAKEN = ["created", "running", "paused"];

export class Trading {
  #tablesTimer = null;

  /** `readOnly` leaves out the ticket; `isLookingBack()` tells whether the screen shows the past; `onTrade(event)` shows a trade. */
  constructor(session, { prices, readOnly, isLookingBack, onTrade }) {
    Object.assign(this, { session, prices, readOnly, isLookingBack });
    this.hasAccount = session.profileSlug !== "none";
    this.orders = new Orders(session);
    this.trades = new TradesTable(session, onTrade);
    this.why = new Why(session, this.orders, prices);
    this.account = new Account(session, () => this.draw());
    this.ticket = readOnly || !this.hasAccount ? null : this.#createTicket();
    this.lines = new ChartLines(prices, { session, account: this.account, ticket: this.ticket, mayTrade: () => this.#mayTrade(), say: (sentence) => this.#say(sentence), onWhy: (id) => this.why.show(id), onChanged: () => this.#changed() });
    byId("score").hidden = !this.hasAccount;
    for (const id of ["tab-orders", "tab-trades"]) byId(id).hidden = !this.hasAccount;
    if (this.hasAccount) startScore();
    onZone(() => this.drawTables());
    prices.onCandles(() => this.draw());
  }

  /** Read what the page needs of the log before its part that is shown. */
  async load() {
    if (!this.hasAccount) return;
    this.account.refresh();
    await Promise.all([this.orders.load(), this.trades.load()]);
    this.drawTables();
  }

  /** Take a batch of events. */
  add(events) {
    if (!this.hasAccount) return;
    this.account.add(events);
    const added = [this.trades.add(events), this.orders.add(events)];
    if (added.includes(true)) this.#tablesTimer ??= setTimeout(() => this.drawTables(), TABLES_MS);
  }

  show(session) {
    this.session = session;
    if (this.hasAccount && session.lastSeq > this.account.seq) this.account.refresh();
    this.ticket?.show(session);
    this.draw();
  }

  /** Draw the lines again. */
  draw() {
    this.ticket?.show(this.session);
    this.lines.draw(!this.hasAccount || this.isLookingBack());
  }

  buy = () => this.ticket?.place("buy");
  sell = () => this.ticket?.place("sell");
  flatten = () => this.ticket?.flatten();

  #createTicket() {
    byId("ticket").hidden = false;
    const ticket = new Ticket(this.session, {
      market: () => ({ symbol: this.prices.symbol, price: this.prices.base().at(-1)?.close, range: this.prices.priceRange(), equity: this.account.equity ?? this.session.initialCash }),
      blocked: () => (this.isLookingBack() ? "You are looking back; orders would be placed now. Go live to trade." : ""),
      onPlaced: () => this.#changed(),
      onChange: () => this.lines && this.draw(),
    });
    ticket.onWhy = (orderId) => this.why.show(orderId);
    return ticket;
  }

  #mayTrade() {
    return this.ticket !== null && TAKEN.includes(this.session.status);
  }

  /** Draw the table that is shown. */
  drawTables() {
    clearTimeout(this.#tablesTimer);
    this.#tablesTimer = null;
    if (!byId("trades-panel").hidden) this.trades.draw();
    if (byId("orders-panel").hidden) return;
    const onCancel = this.#mayTrade() ? (orderId) => attempt(() => cancel(this.session.id, orderId)).then(() => this.#changed()) : null;
    showOrders(this.orders.all(), { onWhy: (orderId) => this.why.show(orderId), onCancel });
  }

  #say(sentence) {
    setText(byId("ticket-state"), sentence);
    announce(sentence);
  }

  #changed() {
    this.account.refresh();
  }
}
