// Follows the log with the client that scripts use too, and hands events on in batches, one per frame.

import { client } from "../common/api.js";

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
  #reading = null;
  #due = false;

  /**
   * `onBatch(events)` gets events in seq order, each once; `onState()` is called when something about the connection
   * changes; `onClosed()` when nothing more comes, because the log ended or the server refused.
   */
  constructor(id, { onBatch, onState, onClosed }) {
    this.id = id;
    this.handlers = { onBatch, onState, onClosed };
    document.addEventListener("visibilitychange", () => this.#schedule());
  }

  /** The seq up to which everything has been handed on; `last` has only come. */
  get drawn() {
    return this.#queue.length ? this.#queue[0].seq - 1 : this.last;
  }

  /** Begin behind `seen`: what is there comes first, then what is new. */
  open({ seen }) {
    this.close();
    this.caughtUp = false;
    this.last = seen;
    this.#reading = new AbortController();
    this.#read(this.#reading);
  }

  async #read(reading) {
    const onState = (state) => this.#reading === reading && this.#heard(state);
    try {
      for await (const batch of client.batches(this.id, { fromSeq: this.last + 1, signal: reading.signal, onState })) {
        if (this.#reading === reading) batch.forEach((event) => this.#take(event));
      }
    } catch {
      // Whatever it is, the session is asked for again, which says so.
    }
    if (this.#reading === reading) this.#gaveUp();
  }

  /** End the connection; what has come already is still handed on. */
  close() {
    this.#reading?.abort();
    this.#reading = null;
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

  #take(event) {
    if (event.seq <= this.last) {
      this.duplicates += 1;
      return;
    }
    this.missed += event.seq - this.last - 1;
    this.last = event.seq;
    this.#queue.push(event);
    this.#schedule();
  }

  #heard(state) {
    if (state === "ended") return;
    this.caughtUp ||= state === "live";
    this.#set(state === "catching up" && this.caughtUp ? "live" : state);
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
