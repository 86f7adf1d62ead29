// The table of events: the newest first, by type and by what they say, each with its payload.

import { get, SESSIONS } from "../common/api.js";
import { byId, make, option, say } from "../common/dom.js";
import { time, tone, whole } from "../common/format.js";
import { describe } from "./describe.js";

const TYPES = ["status", "control", "candle", "gap", "signal", "order", "fill", "trade", "equity", "log", "plot", "note"];
const KEPT = 300;
const SHOWN = 150;

export class Log {
  selected = null;
  #kept = new Map(TYPES.map((type) => [type, []]));

  /** `onSelect(event)` is called with the event a user chose. */
  constructor(session, onSelect) {
    this.session = session;
    this.onSelect = onSelect;
    byId("type").replaceChildren(option("", "all"), ...TYPES.map((type) => option(type)));
    byId("type").addEventListener("change", () => this.#older());
    byId("search").addEventListener("input", () => this.redraw());
    byId("payload-close").addEventListener("click", () => this.#unselect());
  }

  /** Take a batch in; only what can be seen becomes elements. */
  add(events) {
    for (const event of events) this.#kept.get(event.type)?.push(event);
    for (const list of this.#kept.values()) list.splice(0, Math.max(0, list.length - KEPT));
    const rows = this.#fitting(events).slice(-SHOWN).reverse().map((event) => this.#row(event));
    const body = byId("rows");
    body.prepend(...rows);
    while (body.childElementCount > SHOWN) body.lastElementChild.remove();
    this.#tell();
  }

  redraw() {
    const all = [...this.#kept.values()].flat().sort((a, b) => b.seq - a.seq);
    byId("rows").replaceChildren(...this.#fitting(all).slice(0, SHOWN).map((event) => this.#row(event)));
    this.#tell();
  }

  clear() {
    for (const list of this.#kept.values()) list.length = 0;
    this.redraw();
  }

  /** Show these events instead of those there are. */
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
    say(byId("payload-title"), `${event.type} ${event.seq}`);
    say(byId("payload-text"), JSON.stringify(event, null, 2));
    byId("payload-link").href = `?seq=${event.seq}`;
  }

  /** The newest event of a type that is kept. */
  latest(type) {
    return this.#kept.get(type).at(-1);
  }

  find(seq) {
    return [...this.#kept.values()].flat().find((event) => event.seq === seq);
  }

  /** Scroll the table, but not the page, to a row that is out of its sight. */
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

  /** Rare events lie far back in the log: ask for the last ones of the chosen type. */
  async #older() {
    this.redraw();
    const type = byId("type").value;
    if (!type) return;
    const { events } = await get(`${SESSIONS}/${this.session.id}/events?types=${type}&tail=${KEPT}`).catch(() => ({ events: [] }));
    const all = [...events, ...this.#kept.get(type)].map((event) => [event.seq, event]);
    this.#kept.set(type, [...new Map(all).values()].sort((a, b) => a.seq - b.seq).slice(-KEPT));
    this.redraw();
  }

  #fitting(events) {
    const [type, text] = [byId("type").value, byId("search").value.trim().toLowerCase()];
    return events.filter((event) => (!type || event.type === type) && (!text || `${event.seq} ${event.type} ${describe(event)}`.toLowerCase().includes(text)));
  }

  #row(event) {
    const link = make("a", { href: `?seq=${event.seq}` }, String(event.seq));
    const choose = (click) => {
      click.preventDefault();
      this.select(event);
      this.onSelect(event);
    };
    const cells = [make("th", { scope: "row" }, link), make("td", {}, time(event.ts)), make("td", {}, make("span", { class: "type" }, event.type)), make("td", { class: `text ${event.type === "trade" ? tone(event.payload.netPnl) : ""}` }, describe(event))];
    return make("tr", { "data-seq": event.seq, "data-type": event.type, class: event.seq === this.selected ? "selected" : null, onclick: choose }, ...cells);
  }

  #tell() {
    const count = byId("rows").childElementCount;
    byId("log-empty").hidden = count > 0;
    const filtered = byId("type").value || byId("search").value;
    say(byId("log-empty"), filtered ? "No event fits. Choose another type or clear the search." : "No events yet. Press Play to start the session.");
    say(byId("shown"), count ? `the newest ${whole(count)}${filtered ? " that fit" : ""}` : "");
  }
}
