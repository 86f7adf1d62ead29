// Which part of the log is on the screen: its end, live, or a still piece around one seq.

import { get, SESSIONS } from "../common/api.js";
import { byId, say } from "../common/dom.js";
import { whole } from "../common/format.js";
import { attempt } from "../common/notice.js";

const TAIL = 5000;
const AROUND = 1500;
const RELOADED = 50_000;
const MORE = 4000;
const NEAR = 60;

export class View {
  still = false;
  firstSeq = Infinity;
  #lastSeq = 0;
  #piece = 0;
  #busy = false;

  /** `parts` are what draws; `clear()` empties them and `draw(events)` fills them. */
  constructor(session, feed, { clear, draw, prices, log }) {
    Object.assign(this, { session, feed, clear, draw, prices, log });
    this.path = `${SESSIONS}/${session.id}`;
    this.memory = `zeon-first-${session.id}`;
    byId("live").addEventListener("click", () => this.toLive());
  }

  /** Show what the address asks for; after a reload, what was there before and all that came since. */
  async open() {
    const asked = Number(new URLSearchParams(location.search).get("seq"));
    if (asked > 0) return this.#openAt(Math.min(asked, Math.max(1, this.session.lastSeq)));
    const first = Number(sessionStorage.getItem(this.memory));
    const last = this.session.lastSeq;
    return this.#follow(first > 0 && first <= last && last - first < RELOADED ? first - 1 : last - TAIL);
  }

  /** Remember where what is shown begins and ends. */
  note(events) {
    this.#lastSeq = events.at(-1).seq;
    if (events[0].seq >= this.firstSeq) return;
    this.firstSeq = events[0].seq;
    if (!this.still) sessionStorage.setItem(this.memory, this.firstSeq);
  }

  toStart() {
    if (this.firstSeq <= 1 && !this.prices.trimmed) return this.prices.chart.timeScale().setVisibleLogicalRange({ from: -2, to: 118 });
    return attempt(() => this.#lookAt(1));
  }

  toLive() {
    if (!this.still) return this.prices.toEnd();
    this.#leave(false);
    this.#follow(this.session.lastSeq - TAIL);
    return this.prices.toEnd();
  }

  /** Make the address name an event, and bring its candle into sight, from however far back. */
  async point(event) {
    const [at, first] = [event.payload.candle?.openTimeMs ?? event.ts, this.prices.bounds()?.[0]];
    const undrawn = first === undefined && this.feed.drawn < this.feed.last;
    if (undrawn || first > at / 1000) {
      await this.#lookAt(event.seq);
      this.log.select(event);
    }
    history.replaceState(null, "", `?seq=${event.seq}`);
    if (event.type === "trade" && this.prices.key.startsWith(`${event.payload.symbol} `)) this.prices.trace(event.payload);
    else this.prices.centre(at);
  }

  /** Fetch what lies before the oldest candle, as long as there is room. */
  older() {
    if (!(this.firstSeq > 1) || this.firstSeq === Infinity || this.prices.trimmed) return undefined;
    const from = Math.max(1, this.firstSeq - MORE);
    return this.#fetch(`fromSeq=${from}&limit=${MORE}&types=candle,plot,fill,trade`, (events) => {
      this.prices.prepend(events.filter(({ seq }) => seq < this.firstSeq));
      this.firstSeq = from;
    });
  }

  /** Fetch what comes after the newest candle of a still piece. */
  newer() {
    if (!this.still || this.#lastSeq >= this.session.lastSeq) return undefined;
    return this.#fetch(`fromSeq=${this.#lastSeq + 1}&limit=${MORE}`, (events) => {
      this.note(events);
      this.prices.append(events);
    });
  }

  /** Fetch events, one piece at a time; what was asked for elsewhere in the log is thrown away. */
  async #fetch(query, use) {
    if (this.#busy) return;
    this.#busy = true;
    const piece = this.#piece;
    try {
      const { events } = await get(`${this.path}/events?${query}`);
      if (events.length && piece === this.#piece) use(events);
    } finally {
      this.#busy = false;
    }
  }

  #follow(seen) {
    return this.feed.open({ seen: Math.max(0, seen), head: this.session.lastSeq });
  }

  async #openAt(seq) {
    if (this.session.lastSeq - seq > TAIL) await this.#lookAt(seq);
    else await this.#follow(seq - AROUND);
    const { events } = await get(`${this.path}/events?fromSeq=${seq}&limit=1`);
    if (!events.length) return;
    this.log.select(events[0]);
    await this.#drawn(events[0]);
    await this.point(events[0]);
  }

  /** Wait until the candle of an event is there, but not forever: it may have none. */
  async #drawn(event) {
    for (let frames = 0; frames < 120 && !((this.prices.bounds()?.[1] ?? 0) * 1000 >= event.ts); frames += 1) {
      await new Promise(requestAnimationFrame);
    }
  }

  async #lookAt(seq) {
    const { events } = await get(`${this.path}/events?fromSeq=${Math.max(1, seq - AROUND)}&limit=${2 * AROUND}`);
    this.#leave(true);
    say(byId("still-text"), `Looking at seq ${whole(seq)} of ${whole(this.session.lastSeq)}; what comes is not shown here.`);
    this.draw(events);
    this.log.show(events.filter((event) => Math.abs(event.seq - seq) <= NEAR));
    this.prices.centre(events.find((event) => event.seq >= seq)?.ts ?? 0);
  }

  /** Leave what is shown, for a still piece or for the end of the log. */
  #leave(still) {
    this.feed.drop();
    this.#piece += 1;
    this.clear();
    this.still = still;
    this.firstSeq = Infinity;
    byId("still").hidden = !still;
    if (!still) history.replaceState(null, "", location.pathname);
  }
}
