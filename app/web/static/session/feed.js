// Follows the public stream with the browser's own EventSource and hands events on in batches, one per frame.

import { get } from "../common/api.js";

const PAGE = 10_000;
const NEAR = 200;
const BATCH = 10_000;
const REST_MS = 150;

export class Feed {
  last = 0;
  duplicates = 0;
  missed = 0;
  state = "closed";
  since = 0;
  caughtUp = false;
  #queue = [];
  #source = null;
  #due = false;
  #opening = 0;

  /**
   * `onBatch(events)` gets events in seq order, each once; `onState()` is called when something about the connection
   * changes; `onClosed()` when the browser has given up, because the log ended or the server refused.
   */
  constructor(path, { onBatch, onState, onClosed }) {
    this.path = path;
    this.handlers = { onBatch, onState, onClosed };
    document.addEventListener("visibilitychange", () => this.#schedule());
  }

  /** The seq up to which everything has been handed on; `last` has only come. */
  get drawn() {
    return this.#queue.length ? this.#queue[0].seq - 1 : this.last;
  }

  /** Begin behind `seen` in a log that ends at `head`: what is there is read in pages, what comes is streamed. */
  async open({ seen, head }) {
    this.close();
    const opening = this.#opening;
    this.caughtUp = false;
    this.last = seen;
    this.#set("connecting");
    try {
      await this.#read(head, opening);
    } catch {
      if (opening === this.#opening) this.#gaveUp();
      return;
    }
    if (opening === this.#opening) this.#stream();
  }

  /** Read pages as long as more is missing than a stream brings in no time. */
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
    source.addEventListener("caught_up", () => source === this.#source && this.#caught());
    source.onerror = () => source === this.#source && this.#lost(source);
  }

  /** End the connection; what has come already is still handed on. */
  close() {
    this.#opening += 1;
    this.#source?.close();
    this.#source = null;
    this.#set("closed");
  }

  /** End the connection and forget what has come, to look elsewhere. */
  drop() {
    this.#queue = [];
    this.close();
  }

  /** Say that the log is over. */
  end() {
    this.#set("ended");
  }

  #take(message) {
    if (message.seq <= this.last) {
      this.duplicates += 1;
      return undefined;
    }
    this.missed += message.seq - this.last - 1;
    this.last = message.seq;
    this.#queue.push(message);
    return this.#schedule();
  }

  #caught() {
    this.caughtUp = true;
    this.#set("live");
  }

  #lost(source) {
    if (source.readyState === EventSource.CLOSED) this.#gaveUp();
    else this.#set("reconnecting");
  }

  #gaveUp() {
    this.#set("reconnecting");
    this.handlers.onClosed();
  }

  #set(state) {
    if (state !== this.state) this.since = performance.now();
    this.state = state;
    this.handlers.onState();
  }

  /**
   * Draw with the next frame. A page nobody sees has no frames, and a backlog is read faster than it is drawn: there
   * a timer lets a larger batch come together.
   */
  #schedule() {
    if (this.#due || !this.#queue.length) return;
    this.#due = true;
    if (document.hidden || !this.caughtUp) setTimeout(() => this.#flush(), REST_MS);
    else requestAnimationFrame(() => this.#flush());
  }

  #flush() {
    this.#due = false;
    const batch = this.#queue.splice(0, BATCH);
    if (batch.length) this.handlers.onBatch(batch);
    this.#schedule();
  }
}
