// Which part of the log is on the screen: its end, live, or a fixed part around one seq.

import { get, SESSIONS } from "../common/api.js";
import { attempt } from "../common/notice.js";
import { pageAddress } from "./address.js";

const TAIL = 5000;
const AROUND = 1500;
const MAX_RELOADED = 50_000;
const MORE = 4000;
const NEAR = 60;

export class LogPosition {
  /** Whether an older part of the log is shown instead of its end. */
  lookingBack = false;
  firstSeq = Infinity;
  #lastSeq = 0;
  #part = 0;
  #busy = false;

  /** `clear()` empties charts and table, `draw(events)` adds events to them; `onSwitch()` follows a switch to another part. */
  constructor(session, feed, { clear, draw, prices, log, onSwitch }) {
    Object.assign(this, { session, feed, clear, draw, prices, log, onSwitch });
    this.path = `${SESSIONS}/${session.id}`;
    this.memory = `zeon-first-${session.id}`;
  }

  /** Show the event that the address names; else, after a reload, what was shown before and all events since. */
  async open() {
    const seq = Number(new URLSearchParams(location.search).get("seq"));
    if (seq > 0) return this.#openAt(Math.min(seq, Math.max(1, this.session.lastSeq)));
    const first = Number(sessionStorage.getItem(this.memory));
    const last = this.session.lastSeq;
    return this.#follow(first > 0 && first <= last && last - first < MAX_RELOADED ? first - 1 : last - TAIL);
  }

  /** Remember the first and last seq that are shown. */
  track(events) {
    this.#lastSeq = events.at(-1).seq;
    if (events[0].seq >= this.firstSeq) return;
    this.firstSeq = events[0].seq;
    if (!this.lookingBack) sessionStorage.setItem(this.memory, this.firstSeq);
  }

  toStart() {
    if (this.firstSeq <= 1 && !this.prices.trimmed) return this.prices.chart.timeScale().setVisibleLogicalRange({ from: -2, to: 118 });
    return attempt(() => this.#lookBackTo(1));
  }

  /** Show the end of the log; `anew` also if it is shown already. */
  toLive(anew = false) {
    if (!this.lookingBack && !anew) return this.prices.toEnd();
    this.#switchTo(false);
    this.#follow(this.session.lastSeq - TAIL);
    return this.prices.toEnd();
  }

  /** Put an event into the address and show its candle, however far back it is. */
  async goTo(event) {
    const openMs = event.payload.candle?.openTimeMs ?? event.ts;
    const [first, last] = this.prices.bounds() ?? [];
    const notDrawn = first === undefined && this.feed.drawn < this.feed.last;
    const later = this.lookingBack && event.seq > this.#lastSeq && last < openMs / 1000;
    if (notDrawn || first > openMs / 1000 || later) {
      await this.#lookBackTo(event.seq);
      this.log.select(event);
    }
    history.replaceState(null, "", pageAddress(event.seq));
    if (event.type === "trade" && this.prices.key.startsWith(`${event.payload.symbol} `)) this.prices.showTrade(event.payload);
    else this.prices.centre(openMs);
  }

  /** Show the part of the log around the candle of a time in ms. */
  async lookBackAt(ms) {
    await this.#lookBackTo(await this.#seqAt(ms));
  }

  /** Read events before the oldest candle, until there are as many candles as the page can hold. */
  loadOlder() {
    if (!(this.firstSeq > 1) || this.firstSeq === Infinity || this.prices.trimmed) return undefined;
    const from = Math.max(1, this.firstSeq - MORE);
    return this.#fetch(`fromSeq=${from}&limit=${MORE}&types=candle,plot,fill,trade`, (events) => {
      this.prices.prepend(events.filter(({ seq }) => seq < this.firstSeq));
      this.firstSeq = from;
    });
  }

  /** Read events after the newest candle while an older part is shown. */
  loadNewer() {
    if (!this.lookingBack || this.#lastSeq >= this.session.lastSeq) return undefined;
    return this.#fetch(`fromSeq=${this.#lastSeq + 1}&limit=${MORE}`, (events) => {
      this.track(events);
      this.prices.append(events);
    });
  }

  /** Read events, one page at a time. Those that arrive after a switch to another part are dropped. */
  async #fetch(query, use) {
    if (this.#busy) return;
    this.#busy = true;
    const part = this.#part;
    try {
      const { events } = await get(`${this.path}/events?${query}`);
      if (events.length && part === this.#part) use(events);
    } finally {
      this.#busy = false;
    }
  }

  #follow(seen) {
    this.feed.open({ seen: Math.max(0, seen) });
  }

  async #openAt(seq) {
    if (this.session.lastSeq - seq > TAIL) await this.#lookBackTo(seq);
    else this.#follow(seq - AROUND);
    const { events } = await get(`${this.path}/events?fromSeq=${seq}&limit=1`);
    if (!events.length) return;
    this.log.select(events[0]);
    await this.#untilDrawn(events[0]);
    await this.goTo(events[0]);
  }

  /** Wait until the candle of an event is drawn, but not forever: it may have none. */
  async #untilDrawn(event) {
    for (let frames = 0; frames < 120 && !((this.prices.bounds()?.[1] ?? 0) * 1000 >= event.ts); frames += 1) {
      await new Promise(requestAnimationFrame);
    }
  }

  async #lookBackTo(seq) {
    const { events } = await get(`${this.path}/events?fromSeq=${Math.max(1, seq - AROUND)}&limit=${2 * AROUND}`);
    this.#switchTo(true);
    this.draw(events);
    this.log.show(events.filter((event) => Math.abs(event.seq - seq) <= NEAR));
    this.prices.centre(events.find((event) => event.seq >= seq)?.ts ?? 0);
    this.onSwitch();
  }

  /** A seq at most `AROUND` before the one whose ts is a time: ts never decreases, so a few events tell where it is. */
  async #seqAt(ms) {
    let low = { seq: 1, ts: this.session.startMs };
    let high = { seq: this.session.lastSeq, ts: this.session.cursorMs ?? low.ts };
    while (high.seq - low.seq > AROUND) {
      const share = (ms - low.ts) / Math.max(1, high.ts - low.ts);
      const guess = low.seq + Math.round(Math.min(0.95, Math.max(0.05, share)) * (high.seq - low.seq));
      const { events } = await get(`${this.path}/events?fromSeq=${guess}&limit=1`);
      if (events[0]?.ts < ms) low = { seq: guess, ts: events[0].ts };
      else high = { seq: guess, ts: events[0]?.ts ?? high.ts };
    }
    return low.seq;
  }

  /** Clear the screen, to show an older part or the end of the log. */
  #switchTo(lookingBack) {
    this.feed.drop();
    this.#part += 1;
    this.clear();
    this.lookingBack = lookingBack;
    this.firstSeq = Infinity;
    this.onSwitch();
    if (!lookingBack) history.replaceState(null, "", pageAddress());
  }
}
