// Follows the public stream with the browser's own EventSource and hands events on in batches, one per frame.

const BATCH = 4000;
const HIDDEN_MS = 250;

export class Feed {
  last = 0;
  duplicates = 0;
  received = 0;
  state = "closed";
  caughtUp = false;
  #queue = [];
  #source = null;
  #due = false;

  /**
   * `onBatch(events)` gets events in seq order, each once; `onState()` is called when something about the connection
   * changes; `onClosed()` when the browser has given up, because the log ended or the server refused.
   */
  constructor(url, { onBatch, onState, onClosed }) {
    this.url = url;
    this.handlers = { onBatch, onState, onClosed };
    document.addEventListener("visibilitychange", () => this.#schedule());
  }

  /** Begin behind `seen`, or with the last `tail` events. */
  open({ seen, tail }) {
    this.close();
    this.caughtUp = false;
    this.last = seen ?? 0;
    this.#set("connecting");
    const source = new EventSource(`${this.url}?${tail === undefined ? `fromSeq=${seen + 1}` : `tail=${tail}`}`);
    this.#source = source;
    source.onopen = () => this.#set(this.caughtUp ? "live" : "catching up");
    source.onmessage = (message) => this.#take(JSON.parse(message.data));
    source.onerror = () => this.#lost(source);
  }

  /** End the connection; what has come already is still handed on. */
  close() {
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
    if (message.seq === undefined) return this.#told(message);
    this.received += 1;
    if (message.seq <= this.last) this.duplicates += 1;
    else {
      this.last = message.seq;
      this.#queue.push(message);
    }
    this.#schedule();
    return undefined;
  }

  #told(message) {
    if (message.type !== "caught_up") return;
    this.caughtUp = true;
    this.#set("live");
  }

  #lost(source) {
    if (source !== this.#source) return;
    if (source.readyState !== EventSource.CLOSED) return this.#set("reconnecting");
    this.#set("closed");
    this.handlers.onClosed();
    return undefined;
  }

  #set(state) {
    this.state = state;
    this.handlers.onState();
  }

  /** Draw with the next frame; a page nobody sees has no frames, so there a timer keeps the queue short. */
  #schedule() {
    if (this.#due || !this.#queue.length) return;
    this.#due = true;
    if (document.hidden) setTimeout(() => this.#flush(), HIDDEN_MS);
    else requestAnimationFrame(() => this.#flush());
  }

  #flush() {
    this.#due = false;
    const batch = this.#queue.splice(0, BATCH);
    if (batch.length) this.handlers.onBatch(batch);
    this.#schedule();
  }
}
