// Follows the log with the client that scripts use too, and passes events on in batches, one per frame.

import { client } from "../common/api.js";
import { LogShorterError } from "../client.js";

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
  #reading = null;
  #scheduled = false;

  /**
   * `onBatch(events)` gets events in seq order, each once. `onState()` is called when the connection's state changes,
   * `onClosed()` when nothing more comes: the log has ended, or the server refused the call. `onShorter(error)` is called
   * instead when the log has lost events that were received.
   */
  constructor(id, handlers) {
    this.id = id;
    this.handlers = handlers;
    document.addEventListener("visibilitychange", () => this.#schedule());
  }

  /** The last seq that was passed on; `last` is the last one received. */
  get drawn() {
    return this.#queue.length ? this.#queue[0].seq - 1 : this.last;
  }

  /** Begin after `seen`: the backlog comes first, then new events. */
  open({ seen }) {
    this.close();
    this.caughtUp = false;
    this.last = seen;
    this.#reading = new AbortController();
    this.#read(this.#reading);
  }

  async #read(reading) {
    const onState = (state) => this.#reading === reading && this.#onClientState(state);
    try {
      for await (const batch of client.batches(this.id, { fromSeq: this.last + 1, signal: reading.signal, onState })) {
        if (this.#reading === reading) batch.forEach((event) => this.#take(event));
      }
    } catch (error) {
      if (error instanceof LogShorterError && this.#reading === reading) return this.#shorter(error);
      // Whatever it is, the session is read again, and that call shows the error.
    }
    if (this.#reading === reading) this.#closed();
    return undefined;
  }

  /** End the connection; events already received are still passed on. */
  close() {
    this.#reading?.abort();
    this.#reading = null;
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

  #onClientState(state) {
    if (state === "ended") return;
    this.caughtUp ||= state === "live";
    this.#set(state === "catching up" && this.caughtUp ? "live" : state);
  }

  #closed() {
    this.#set("reconnecting");
    this.handlers.onClosed();
  }

  #shorter(error) {
    this.drop();
    this.handlers.onShorter(error);
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
