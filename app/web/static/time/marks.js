// Next and last trade, signal, gap …: the event before or behind the one that is shown.

import { get, SESSIONS } from "../common/api.js";
import { byId } from "../common/dom.js";
import { announce, attempt } from "../common/notice.js";

const WINDOW = 500;
const LIMIT = 10_000;

export class Marks {
  #seq = null;

  /** `show(event)` shows an event; `newest()` is the seq behind which there is nothing yet. */
  constructor(session, { show, newest }) {
    Object.assign(this, { show, newest });
    this.path = `${SESSIONS}/${session.id}/events`;
    byId("mark-last").addEventListener("click", () => this.last());
    byId("mark-next").addEventListener("click", () => this.next());
  }

  /** Count from an event that a user has chosen. */
  startAt(seq) {
    this.#seq = seq;
  }

  next = () => this.#go("later", async (kind, seq) => (await get(`${this.path}?types=${kind}&fromSeq=${seq + 1}&limit=1`)).events[0]);
  last = () => this.#go("earlier", (kind, seq) => this.#before(kind, seq));

  #go(where, find) {
    return attempt(async () => {
      const kind = byId("mark-kind").value;
      const seq = this.#seq ?? this.newest() + 1;
      const event = seq > this.newest() && where === "later" ? undefined : await find(kind, seq);
      if (!event) return announce(`There is no ${where} ${kind}.`);
      this.#seq = event.seq;
      announce(`${kind} ${event.seq}`);
      return this.show(event);
    });
  }

  /** The last event of a type before a seq: looked for in ranges that double. */
  async #before(kind, seq) {
    for (let [end, size] = [seq, WINDOW]; end > 1; size *= 2) {
      const begin = Math.max(1, end - size);
      const event = await this.#lastWithin(kind, begin, end);
      if (event) return event;
      end = begin;
    }
    return undefined;
  }

  async #lastWithin(kind, begin, end) {
    let last;
    for (let from = begin; from < end; ) {
      const { events, nextFromSeq } = await get(`${this.path}?types=${kind}&fromSeq=${from}&limit=${Math.min(LIMIT, end - from)}`);
      const before = events.filter(({ seq }) => seq < end);
      last = before.at(-1) ?? last;
      if (before.length < events.length || !events.length) break;
      from = nextFromSeq;
    }
    return last;
  }
}
