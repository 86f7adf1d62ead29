// A client of a ZEON server for browsers, Node and Bun: calls, controls, and a tail that reconnects when the server restarts.
// It has no dependencies; client.d.ts in the same folder has its types. docs/clients.md shows how to use it.

export const SESSIONS = "/api/sim/sessions";
const HOME = import.meta.url.startsWith("http") ? new URL("..", import.meta.url).href : "http://127.0.0.1:8000/";
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;
const BUSY = [408, 425, 429];
// Codes of refused calls that can succeed a moment later. A quota is not one of them: it needs an action of the user.
const PASSING = ["too_many_requests", "too_many_heavy_calls"];
const PATIENCE_MS = 60_000;

/** A call that failed: a message, the HTTP status (0 = no answer), and the API's code and details. */
export class ApiError extends Error {
  name = "ApiError";

  constructor(message, status, answer = {}, retryAfterMs = 0) {
    super(message);
    this.status = status;
    this.code = answer.code;
    this.details = answer.details;
    this.retryAfterMs = retryAfterMs;
  }

  /** Whether the same call may succeed later. */
  get mayPass() {
    return this.status === 0 || this.status >= 500 || BUSY.includes(this.status);
  }
}

/** A stream skipped an event of the log, or the answer is not a stream of a ZEON server. */
export class BrokenStreamError extends Error {
  name = "BrokenStreamError";
}

/** The log has lost events that were received; it now ends at `lastSeq`. The database was replaced by an older copy. */
export class LogShorterError extends Error {
  name = "LogShorterError";

  constructor(lastSeq) {
    super(`The log is shorter than what was sent: it now ends at event ${lastSeq}.`);
    this.lastSeq = lastSeq;
  }
}

export class Client {
  #origin;
  #token;
  #share;
  #onUnauthorized;
  #patienceMs;
  #onWait;

  /**
   * `url` is the server's address, by default the one this module came from. `token` is sent as a bearer token; without
   * one a browser's cookie counts. `share` is the key of a share link. `onUnauthorized(sentMs)` is called when a call sent
   * at that `performance.now()` lacked a login; what it returns is awaited and the call repeated. A call that is refused
   * because its user asks too much at once (429) waits and is repeated, for `patienceMs` in all; `onWait(error)` hears of it.
   */
  constructor(url = HOME, { token = null, share = null, onUnauthorized = null, patienceMs = PATIENCE_MS, onWait = () => {} } = {}) {
    this.#origin = new URL(url).href.replace(/\/$/, "");
    this.#token = token;
    this.#share = share;
    this.#onUnauthorized = onUnauthorized;
    this.#patienceMs = patienceMs;
    this.#onWait = onWait;
  }

  /** Make any call and return its data; `key` is its Idempotency-Key. */
  async call(method, path, body, query = {}, key = undefined) {
    const response = await this.#request(method, path, { body, query, key });
    const answer = await response.json();
    return "success" in answer ? answer.data : answer;
  }

  /** Exchange a token or JWT for a browser's cookie. */
  login(token) {
    return this.call("POST", "/login", { token });
  }

  /** End the login of a browser's cookie. */
  logout() {
    return this.call("POST", "/logout", {});
  }

  /** A page of the user's sessions, newest first, and its `nextCursor`. */
  sessions(query = {}) {
    return this.call("GET", SESSIONS, undefined, query);
  }

  create(fields) {
    return this.call("POST", SESSIONS, fields);
  }

  session(id) {
    return this.call("GET", `${SESSIONS}/${id}`);
  }

  /** Change pace, name or tags. */
  change(id, fields) {
    return this.call("PATCH", `${SESSIONS}/${id}`, fields);
  }

  delete(id) {
    return this.call("DELETE", `${SESSIONS}/${id}`);
  }

  start(id, fields = {}) {
    return this.call("POST", `${SESSIONS}/${id}/start`, fields);
  }

  pause(id) {
    return this.call("POST", `${SESSIONS}/${id}/pause`, {});
  }

  resume(id, fields = {}) {
    return this.call("POST", `${SESSIONS}/${id}/resume`, fields);
  }

  stop(id) {
    return this.call("POST", `${SESSIONS}/${id}/stop`, {});
  }

  /** Run this many ticks at once, then pause; with `{ wait: true }` it answers when the last one is in the log. */
  step(id, candles = 1, fields = {}) {
    return this.#control(id, "step", { candles, ...fields });
  }

  /** Run to `{ timeMs }` or through the first event of a type, `{ eventType }`, then pause. */
  runUntil(id, goal) {
    return this.#control(id, "runUntil", goal);
  }

  /** Run without pauses to a time, then at the earlier pace; a paused session pauses again there. */
  jump(id, timeMs) {
    return this.#control(id, "jump", { timeMs });
  }

  /** Change the pace: `{ replayMsPerCandle }` or `{ speed }`. */
  pace(id, pace) {
    return this.#control(id, "pace", pace);
  }

  /** Create a session that shares the log up to a seq and continues with the changed fields. */
  fork(id, atSeq, fields = {}) {
    return this.call("POST", `${SESSIONS}/${id}/fork`, { atSeq, ...fields });
  }

  /** Place an order; it answers when the order is in the log. `key` makes a repetition harmless. */
  order(id, order, key) {
    return this.call("POST", `${SESSIONS}/${id}/orders`, order, {}, key);
  }

  /** A page of the orders, oldest first; `{ status: "open" }` are those that are open. */
  orders(id, query = {}) {
    return this.call("GET", `${SESSIONS}/${id}/orders`, undefined, query);
  }

  /** Cancel an open order, without an id all. */
  cancel(id, orderId) {
    return this.call("DELETE", `${SESSIONS}/${id}/orders${orderId === undefined ? "" : `/${orderId}`}`);
  }

  /** Close a position with a market order, `{ symbol }`, or all. */
  close(id, fields = {}, key) {
    return this.call("POST", `${SESSIONS}/${id}/close`, fields, {}, key);
  }

  /** Cash, equity, positions and open orders. */
  account(id) {
    return this.call("GET", `${SESSIONS}/${id}/account`);
  }

  /** The simulated time, and when the next candle is due. */
  clock(id) {
    return this.call("GET", `${SESSIONS}/${id}/clock`);
  }

  diff(id, other) {
    return this.call("GET", `${SESSIONS}/${id}/diff/${other}`);
  }

  /** Settings that differ, statistics, curves and the first trades that part, of 2 to 20 sessions. */
  compare(ids, points = 300) {
    return this.call("GET", `/api/sim/compare?ids=${ids.join(",")}&points=${points}`);
  }

  stats(id) {
    return this.call("GET", `${SESSIONS}/${id}/stats`);
  }

  equity(id, points = 500) {
    return this.call("GET", `${SESSIONS}/${id}/equity`, undefined, { points });
  }

  profiles() {
    return this.call("GET", "/api/sim/profiles");
  }

  /** The response with `events`, `trades` or `equity` as `ndjson`, `csv` or `parquet`. */
  export(id, { what = "events", format = "ndjson" } = {}) {
    return this.#request("GET", `${SESSIONS}/${id}/export`, { query: { what, format } });
  }

  /** The events that are in the log now. */
  async *events(id, { fromSeq = 1, types } = {}) {
    for (let page = { nextFromSeq: fromSeq, lastSeq: fromSeq }; page.nextFromSeq <= page.lastSeq; ) {
      page = await this.call("GET", `${SESSIONS}/${id}/events`, undefined, { fromSeq: page.nextFromSeq, limit: 5000, types });
      yield* page.events;
    }
  }

  /** Every event of a log in order, each once, until the session has ended; the options are those of `batches`. */
  async *tail(id, options = {}) {
    for await (const batch of this.batches(id, options)) yield* batch;
  }

  /**
   * The same, as many events at once as have come. A connection that breaks, or brings neither events nor heartbeats for
   * `silenceMs`, is made anew for as long as it takes; what waiting does not mend is thrown. `signal` ends it.
   * `onState(state)` hears `connecting`, `catching up`, `live`, `reconnecting` and `ended`.
   */
  async *batches(id, { fromSeq = 1, types, silenceMs = 40_000, signal, onState = () => {} } = {}) {
    const reader = new StreamReader(fromSeq, types);
    for (let state = "connecting", pauseMs = FIRST_PAUSE_MS; ; state = "reconnecting") {
      onState(state);
      const watch = new Watch(silenceMs, signal);
      const from = reader.lastSeq;
      let fault = null;
      try {
        const query = { fromSeq: reader.lastSeq + 1, types };
        const response = await watch.within(this.#request("GET", `${SESSIONS}/${id}/stream`, { query, signal: watch.signal }));
        if (response.status === 204) return onState("ended");
        onState("catching up");
        yield* reader.read(response, watch, onState);
      } catch (error) {
        if (signal?.aborted) return undefined;
        if (error.code === "seq_ahead" && reader.lastSeq >= fromSeq) throw new LogShorterError(error.details.lastSeq);
        if (!watch.fired && !error.mayPass) throw error;
        fault = error;
      } finally {
        watch.end();
      }
      if (reader.lastSeq > from) pauseMs = FIRST_PAUSE_MS;
      onState("reconnecting");
      await pause(Math.max(fault?.retryAfterMs ?? 0, pauseMs * (0.5 + Math.random() / 2)), signal);
      if (signal?.aborted) return undefined;
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
    }
  }

  #control(id, action, fields) {
    return this.call("POST", `${SESSIONS}/${id}/control`, { action, ...fields });
  }

  async #request(method, path, options, patienceMs = this.#patienceMs) {
    const sentMs = performance.now();
    const response = await this.#send(method, path, options);
    if (response.ok) return response;
    if (response.status === 401 && this.#onUnauthorized) {
      await this.#onUnauthorized(sentMs);
      return this.#request(method, path, options, patienceMs);
    }
    const answer = await response.json().catch(() => ({}));
    const retryAfterMs = 1000 * (Number(response.headers.get("Retry-After")) || 0);
    const error = new ApiError(answer.error ?? `The server answered ${response.status}.`, response.status, answer, retryAfterMs);
    const pauseMs = Math.max(100, retryAfterMs);
    if (!PASSING.includes(error.code) || pauseMs > patienceMs) throw error;
    this.#onWait(error);
    await pause(pauseMs, options.signal);
    return this.#request(method, path, options, patienceMs - pauseMs);
  }

  async #send(method, path, { body, query = {}, key, signal }) {
    const given = Object.entries({ ...query, share: this.#share }).filter(([, value]) => value !== undefined && value !== null);
    const search = given.length ? `${path.includes("?") ? "&" : "?"}${new URLSearchParams(given)}` : "";
    const headers = {};
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (key !== undefined) headers["Idempotency-Key"] = key;
    if (this.#token) headers.Authorization = `Bearer ${this.#token}`;
    const content = body === undefined ? undefined : JSON.stringify(body);
    try {
      return await fetch(this.#origin + path + search, { method, headers, body: content, signal, credentials: "include" });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ApiError("The server cannot be reached.", 0);
    }
  }
}

/** Aborts a request after too long a silence, or at its user's signal. */
class Watch {
  fired = false;
  #controller = new AbortController();
  #abort = () => this.#controller.abort();

  constructor(silenceMs, signal) {
    this.silenceMs = silenceMs;
    this.outer = signal;
    if (signal?.aborted) this.#abort();
    signal?.addEventListener("abort", this.#abort);
  }

  get signal() {
    return this.#controller.signal;
  }

  /** Wait for a promise; abort when it takes longer than the allowed silence. */
  async within(promise) {
    const timer = setTimeout(() => {
      this.fired = true;
      this.#abort();
    }, this.silenceMs);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  end() {
    this.outer?.removeEventListener("abort", this.#abort);
    this.#abort();
  }
}

/** Reads streams of one log, one after the other, and remembers the last seq. */
class StreamReader {
  constructor(fromSeq, types) {
    this.lastSeq = Math.max(1, fromSeq) - 1;
    this.types = types;
  }

  /** Yield the events of a response in batches. */
  async *read(response, watch, onState) {
    if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
      throw new BrokenStreamError(`${response.url} does not answer with a stream of events.`);
    }
    const bytes = response.body.getReader();
    const text = new TextDecoder();
    for (let rest = "", message = {}; ; ) {
      const { value, done } = await watch.within(bytes.read()).catch(throwBroken);
      if (done) return;
      const lines = (rest + text.decode(value, { stream: true })).split("\n");
      rest = lines.pop();
      const batch = [];
      for (const line of lines) message = this.#line(line.endsWith("\r") ? line.slice(0, -1) : line, message, batch, onState);
      if (batch.length) yield batch;
    }
  }

  /** Add a line and return the message so far; an empty line ends it. */
  #line(line, message, batch, onState) {
    if (line.startsWith("data:")) message.data = (message.data ?? "") + line.slice(5);
    else if (line.startsWith("event:")) message.name = line.slice(6).trim();
    if (line !== "") return message;
    if (message.name === "log_shorter") throw new LogShorterError(JSON.parse(message.data).lastSeq);
    if (message.name === "caught_up") onState("live");
    else if (message.data !== undefined && message.name === undefined) this.#event(JSON.parse(message.data), batch);
    return {};
  }

  #event(event, batch) {
    if (event.seq > this.lastSeq + 1 && !this.types) throw new BrokenStreamError(`Event ${event.seq} follows event ${this.lastSeq}.`);
    if (event.seq <= this.lastSeq) return;
    this.lastSeq = event.seq;
    batch.push(event);
  }
}

function throwBroken(error) {
  throw new ApiError(`The connection broke: ${error.message}`, 0);
}

/** Wait for a time, or until the signal aborts. */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}
