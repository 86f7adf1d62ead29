// Follows the public stream with the browser's EventSource and passes events on in batches, one per frame.

import { get } from "../common/api.js";

const PAGE = 10_000;
const NEAR = 200;
const BATCH = 10_000;
const BATCH_DELAY_MS = 150;

export class Feed {
  last = 0;
  duplicates = 0;
  missed = 0;
  state = "closed";
  since = 0;
  caughtUp = false;
  #queue = [];
  #source = null;
  #scheduled = false;
  #opening = 0;

  /**
   * `onBatch(events)` gets events in seq order, each once. `onState()` is called when the connection's state changes,
   * `onClosed()` when the browser has given up: the log has ended, or the server refused the call.
   */
  constructor(path, { onBatch, onState, onClosed }) {
    this.path = path;
    this.handlers = { onBatch, onState, onClosed };
    document.addEventListener("visibilitychange", () => this.#schedule());
  }

  /** The last seq that was passed on; `last` is the last one received. */
  get drawn() {
    return this.#queue.length ? this.#queue[0].seq - 1 : this.last;
  }

  /** Begin after `seen` in a log that ends at `head`: read the backlog in pages, then follow the stream. */
  async open({ seen, head }) {
    this.close();
    const opening = this.#opening;
    this.caughtUp = false;
    this.last = seen;
    this.#set("connecting");
    try {
      await this.#read(head, opening);
    } catch {
      if (opening === this.#opening) this.#closed();
      return;
    }
    if (opening === this.#opening) this.#stream();
  }

  /** Read pages until so little is missing that the stream can bring it. */
  async #read(head, opening) {
    for (let end = head; end - this.last > NEAR; ) {
      const page = await get(`${this.path}/events?fromSeq=${this.last + 1}&limit=${PAGE}`);
      if (opening !== this.#opening) return;
      page.events.forEach((event) => this.#take(event));
      end = page.lastSeq;
    }
  }

  #stream() {
    const source = new EventSource(`${this.path}/stream?fromSeq=${this.last + 1}`);
    this.#source = source;
    source.onopen = () => this.#set(this.caughtUp ? "live" : "catching up");
    source.onmessage = (message) => this.#take(JSON.parse(message.data));
    source.onerror = () => source === this.#source && this.#lost(source);
  }

  /** End the connection; events already received are still passed on. */
  close() {
    this.#opening += 1;
    this.#source?.close();
    this.#source = null;
    this.#set("closed");
  }

  /** End the connection and drop the events received, to show another part of the log. */
  drop() {
    this.#queue = [];
    this.close();
  }

  /** Mark the log as ended. */
  end() {
    this.#set("ended");
  }

  #take(message) {
    if (message.seq === undefined) return this.#told(message);
    if (message.seq <= this.last) {
      this.duplicates += 1;
      return undefined;
    }
    this.missed += message.seq - this.last - 1;
    this.last = message.seq;
    this.#queue.push(message);
    return this.#schedule();
  }

  #told(message) {
    if (message.type !== "caught_up") return;
    this.caughtUp = true;
    this.#set("live");
  }

  #lost(source) {
    if (source.readyState === EventSource.CLOSED) this.#closed();
    else this.#set("reconnecting");
  }

  #closed() {
    this.#set("reconnecting");
    this.handlers.onClosed();
  }

  #set(state) {
    if (state !== this.state) this.since = performance.now();
    this.state = state;
    this.handlers.onState();
  }

  /**
   * Draw with the next frame. A hidden page has no frames, and a backlog arrives faster than it is drawn: in both cases
   * a timer collects a larger batch.
   */
  #schedule() {
    if (this.#scheduled || !this.#queue.length) return;
    this.#scheduled = true;
    if (document.hidden || !this.caughtUp) setTimeout(() => this.#flush(), BATCH_DELAY_MS);
    else requestAnimationFrame(() => this.#flush());
  }

  #flush() {
    this.#scheduled = false;
    const batch = this.#queue.splice(0, BATCH);
    if (batch.length) this.handlers.onBatch(batch);
    this.#schedule();
  }
}
