// The table of events, newest first, with a filter by type and text, and the payload of one event.

import { get, SESSIONS, share } from "../common/api.js";
import { masked } from "../common/display.js";
import { byId, make, option, setText } from "../common/dom.js";
import { time, tone, whole } from "../common/format.js";
import { pageAddress } from "./address.js";
import { describe } from "./describe.js";

const EVENTS_PER_TYPE = 300;
const MAX_ROWS = 150;

export class Log {
  selected = null;
  #events;

  /** `types` are the types of events there are; `onSelect(event)` is called with the event that a user chose. */
  constructor(session, types, onSelect) {
    this.session = session;
    this.#events = new Map(types.map((type) => [type, []]));
    this.onSelect = onSelect;
    byId("type").replaceChildren(option("", "all"), ...types.map((type) => option(type)));
    byId("type").addEventListener("change", () => this.#loadOlder());
    byId("search").addEventListener("input", () => this.redraw());
    byId("payload-close").addEventListener("click", () => this.#unselect());
  }

  /** Add a batch; only events that are shown become elements. */
  add(events) {
    for (const event of events) this.#events.get(event.type)?.push(event);
    for (const list of this.#events.values()) list.splice(0, Math.max(0, list.length - EVENTS_PER_TYPE));
    const rows = this.#matching(events).slice(-MAX_ROWS).reverse().map((event) => this.#row(event));
    const body = byId("rows");
    body.prepend(...rows);
    while (body.childElementCount > MAX_ROWS) body.lastElementChild.remove();
    this.#showCount();
  }

  redraw() {
    const all = [...this.#events.values()].flat().sort((a, b) => b.seq - a.seq);
    byId("rows").replaceChildren(...this.#matching(all).slice(0, MAX_ROWS).map((event) => this.#row(event)));
    this.#showCount();
  }

  clear() {
    for (const list of this.#events.values()) list.length = 0;
    this.redraw();
  }

  /** Show these events instead of those in the table. */
  show(events) {
    this.clear();
    this.add(events);
  }

  /** Mark an event and show its payload. */
  select(event) {
    this.selected = event.seq;
    for (const row of byId("rows").children) row.classList.toggle("selected", row.dataset.seq === String(event.seq));
    this.#reveal(byId("rows").querySelector(".selected"));
    byId("payload").hidden = false;
    setText(byId("payload-title"), `${event.type} ${event.seq}`);
    setText(byId("payload-text"), masked(JSON.stringify(event, null, 2)));
    byId("payload-link").href = pageAddress(event.seq);
  }

  /** The newest event of a type, if there is one here. */
  latest(type) {
    return this.#events.get(type).at(-1);
  }

  find(seq) {
    return [...this.#events.values()].flat().find((event) => event.seq === seq);
  }

  /** Scroll the table, but not the page, to a row that is not visible in it. */
  #reveal(row) {
    const box = row?.closest(".scroll");
    if (!box || (row.offsetTop >= box.scrollTop && row.offsetTop < box.scrollTop + box.clientHeight - row.offsetHeight)) return;
    box.scrollTop = row.offsetTop - box.clientHeight / 2;
  }

  #unselect() {
    this.selected = null;
    byId("payload").hidden = true;
    for (const row of byId("rows").children) row.classList.remove("selected");
  }

  /** Read the last events of the chosen type: rare ones may be far back in the log. */
  async #loadOlder() {
    this.redraw();
    const type = byId("type").value;
    if (!type) return;
    const { events } = await get(`${SESSIONS}/${this.session.id}/events?types=${type}&tail=${EVENTS_PER_TYPE}`).catch(() => ({ events: [] }));
    const all = [...events, ...this.#events.get(type)].map((event) => [event.seq, event]);
    this.#events.set(type, [...new Map(all).values()].sort((a, b) => a.seq - b.seq).slice(-EVENTS_PER_TYPE));
    this.redraw();
  }

  #matching(events) {
    const [type, text] = [byId("type").value, byId("search").value.trim().toLowerCase()];
    return events.filter((event) => (!type || event.type === type) && (!text || `${event.seq} ${event.type} ${describe(event)}`.toLowerCase().includes(text)));
  }

  #row(event) {
    const link = make("a", { href: pageAddress(event.seq) }, String(event.seq));
    const choose = (click) => {
      click.preventDefault();
      this.select(event);
      this.onSelect(event);
    };
    const cells = [make("th", { scope: "row" }, link), make("td", {}, time(event.ts)), make("td", {}, make("span", { class: "type" }, event.type)), make("td", { class: `text ${event.type === "trade" ? tone(event.payload.netPnl) : ""}` }, describe(event))];
    return make("tr", { "data-seq": event.seq, "data-type": event.type, class: event.seq === this.selected ? "selected" : null, onclick: choose }, ...cells);
  }

  #showCount() {
    const count = byId("rows").childElementCount;
    byId("log-empty").hidden = count > 0;
    const filtered = byId("type").value || byId("search").value;
    setText(byId("log-empty"), filtered ? "No event matches. Choose another type or clear the search." : share ? "No events yet." : "No events yet. Press Play to start the session.");
    setText(byId("shown"), count ? `the newest ${whole(count)}${filtered ? " that match" : ""}` : "");
  }
}
