// Types of client.js. Times are ms since the epoch, UTC.

export const SESSIONS: "/api/sim/sessions";

type Side = "BUY" | "SELL";
type Status = "created" | "running" | "paused" | "stopped" | "finished" | "failed";

interface Logged<Type extends string, Payload> {
  /** 1, 2, 3 … in each session, without a hole. */
  seq: number;
  /** Simulated time; never decreases. */
  ts: number;
  type: Type;
  payload: Payload;
}

export type StatusEvent = Logged<"status", { status: Status; reason: string; cursorMs: number | null; by: string; error?: string }>;
export type ControlEvent = Logged<
  "control",
  { action: string; args: Record<string, unknown>; by: string; command?: number; cursorMs?: number | null }
>;
export type CandleEvent = Logged<
  "candle",
  {
    symbol: string;
    timeframe: string;
    candle: { openTimeMs: number; closeTimeMs: number; open: number; high: number; low: number; close: number; volume: number };
    synthetic?: true;
  }
>;
export type GapEvent = Logged<"gap", { symbol: string; timeframe: string; fromMs: number; toMs: number; missing: number }>;
export type SignalEvent = Logged<
  "signal",
  { symbol: string; direction: "LONG" | "SHORT" | "EXIT"; reason: string; indicators: Record<string, number> }
>;
export type OrderEvent = Logged<
  "order",
  {
    orderId: number;
    symbol: string;
    side: Side;
    type: string;
    qty: number | null;
    sizing?: Record<string, number>;
    limitPrice?: number;
    stopPrice?: number;
    status: "accepted" | "rejected" | "triggered" | "partial" | "filled" | "cancelled" | "expired";
    reason: string;
    tag: string | null;
  }
>;
export type FillEvent = Logged<
  "fill",
  { orderId: number; symbol: string; side: Side; qty: number; price: number; fee: number; slippage: number; policy: string }
>;
export type TradeEvent = Logged<
  "trade",
  {
    symbol: string;
    side: "LONG" | "SHORT";
    qty: number;
    entryPrice: number;
    exitPrice: number;
    entryTs: number;
    exitTs: number;
    grossPnl: number;
    fees: number;
    netPnl: number;
    holdBars: number;
    reason: string;
  }
>;
export type FundingEvent = Logged<"funding", { symbol: string; qty: number; price: number; times: number; amount: number }>;
export type InterestEvent = Logged<"interest", { borrowedCash: number; shortValue: number; amount: number }>;
export type EquityEvent = Logged<
  "equity",
  {
    cash: number;
    positionQty?: number;
    positions?: Record<string, { qty: number; avgPrice: number; value: number }>;
    positionValue: number;
    equity: number;
    realizedPnl: number;
    unrealizedPnl: number;
    feesPaid: number;
    fundingPaid?: number;
    interestPaid?: number;
    peakEquity: number;
    drawdownPct: number;
  }
>;
export type LogEvent = Logged<"log", { message: string }>;
export type PlotEvent = Logged<"plot", { name: string; value: number }>;
export type NoteEvent = Logged<"note", Record<string, unknown>>;

/** An event of the log; `event.type` determines the fields of its payload. */
export type Event =
  | StatusEvent
  | ControlEvent
  | CandleEvent
  | GapEvent
  | SignalEvent
  | OrderEvent
  | FillEvent
  | TradeEvent
  | FundingEvent
  | InterestEvent
  | EquityEvent
  | LogEvent
  | PlotEvent
  | NoteEvent;

/** What a session may be created with; docs/sessions.md explains every field. */
export interface NewSession {
  profileSlug: string;
  symbol?: string;
  symbols?: string[];
  timeframe: string;
  startMs: number;
  [field: string]: unknown;
}

/** A session as the API answers it; docs/sessions.md explains every field. */
export interface Session {
  id: string;
  userId: string;
  kind: "sim" | "market";
  name: string | null;
  tags: string[];
  profileSlug: string;
  config: Record<string, unknown>;
  venue: string;
  symbol: string | null;
  symbols: string[];
  timeframe: string;
  extraTimeframes: string[];
  startMs: number;
  endMs: number | null;
  lagMs: number;
  warmupCandles: number;
  initialCash: number;
  feeBps: number | null;
  makerFeeBps: number;
  takerFeeBps: number;
  slippageBps: number;
  leverage: number | null;
  fill: "next_open" | "same_close";
  limitFill: "through" | "touch";
  sizing: Record<string, number>;
  volumeShare: number | null;
  record: "full" | "trades";
  rules: number;
  daysPerYear: number;
  entryCandleProfit: "never" | "proven";
  fundingBps: number;
  borrowBpsPerDay: number;
  maintenanceMarginPct: number | null;
  replayMsPerCandle: number | null;
  speed: number | null;
  gapPolicy: "fail" | "skip" | "fill";
  gapGraceMs: number;
  mode: "replay";
  status: Status;
  cursorMs: number | null;
  lastSeq: number;
  error: string | null;
  errorDetails: unknown;
  idempotencyKey: string | null;
  strategyHash: string | null;
  candlesHash: string | null;
  digest: string | null;
  parentId: string | null;
  forkSeq: number | null;
  progress: { done: number | null; total: number | null; pct: number | null; fetching?: { done: number; total: number }; checking?: { done: number; total: number } } | null;
  /** The candle a running session waits for at the end of the cache; `symbols` have none yet. */
  waitingFor?: { symbols: string[]; openTimeMs: number; dueMs: number; text: string };
  streamUrl: string;
  createdAt: string;
  updatedAt: string;
}

type Fill = "next_open" | "same_close";
type OrderType = "market" | "limit" | "stop" | "stopLimit" | "trailingStop";

/** An order to be placed; docs/orders.md explains every field. */
export interface NewOrder {
  symbol?: string;
  side: "buy" | "sell" | Side;
  type: OrderType;
  qty?: number;
  cash?: number;
  equityPct?: number;
  limitPrice?: number;
  stopPrice?: number;
  trail?: number;
  trailPct?: number;
  stopLoss?: number;
  takeProfit?: number;
  reduceOnly?: boolean;
  goodForCandles?: number;
  fill?: Fill;
  clientOrderId?: string;
  tag?: string;
  reason?: string;
}

/** An order as the log has it. */
export interface Order {
  orderId: number;
  clientOrderId: string | null;
  symbol: string;
  side: Side;
  type: OrderType;
  qty: number | null;
  sizing: Record<string, number> | null;
  filledQty: number;
  avgPrice: number | null;
  limitPrice: number | null;
  stopPrice: number | null;
  status: "accepted" | "rejected" | "triggered" | "partial" | "filled" | "cancelled" | "expired";
  reason: string;
  tag: string | null;
  placedTs: number;
  ts: number;
  commandSeq: number | null;
}

export interface Account {
  ts: number;
  seq: number;
  cash: number;
  equity: number;
  positions: { symbol: string; qty: number; avgPrice: number; value: number; unrealizedPnl: number }[];
  openOrders: Order[];
}

/** `nowMs` is simulated; `serverMs` and `nextDueMs` are the wall clock's. */
export interface Clock {
  sessionId: string;
  status: Status;
  mode: "paced" | "unpaced" | "stepped" | "paused" | "ended";
  nowMs: number;
  cursorMs: number | null;
  nextOpenMs: number | null;
  nextDueMs: number | null;
  serverMs: number;
  lastSeq: number;
  commands: number;
}

/** A call that failed: a sentence, the HTTP status (0 = nobody answered), and the API's code and details. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string | undefined;
  readonly details: unknown;
  readonly retryAfterMs: number;
  /** Whether the same call may succeed later. */
  readonly mayPass: boolean;
}

/** A stream skipped an event of the log, or is none: what answers is not a ZEON server. */
export class BrokenStreamError extends Error {}

/** The log has lost events that were received: the database was replaced by an older copy. */
export class LogShorterError extends Error {
  /** The last seq that the log has now. */
  readonly lastSeq: number;
}

export interface ClientOptions {
  /** Sent as a bearer token; without one a browser's cookie counts. */
  token?: string | null;
  /** The key of a share link, which the client adds to each call. */
  share?: string | null;
  /** Called when a call sent at that `performance.now()` lacked a login; awaited, then the call is repeated. */
  onUnauthorized?: ((sentMs: number) => unknown) | null;
  /** How long a call waits in all while its user asks too much at once (429), 60,000 ms by default. */
  patienceMs?: number;
  /** Called with the error of each answer after which a call waits for `retryAfterMs`. */
  onWait?: (error: ApiError) => unknown;
}

export interface TailOptions {
  /** The first event wanted, 1 by default. */
  fromSeq?: number;
  /** Only these types, separated by commas. */
  types?: string;
  /** How long a connection may be silent before it is made anew, 40,000 by default; heartbeats come every 15,000. */
  silenceMs?: number;
  /** Ends the tail. */
  signal?: AbortSignal;
  onState?: (state: "connecting" | "catching up" | "live" | "reconnecting" | "ended") => void;
}

/** Sessions side by side; every list is in their order. `tradesPart` is null if all trades are the same. */
export interface Comparison {
  sessions: Session[];
  settings: Record<string, unknown[]>;
  figures: Record<string, (number | null)[]>;
  curves: { ts: number; equity: number; drawdownPct: number }[][];
  tradesPart: { number: number; trades: ({ seq: number; ts: number; trade: Record<string, unknown> } | null)[] } | null;
}

export class Client {
  /** `url` is the server's address, by default the one this module came from, else http://127.0.0.1:8000. */
  constructor(url?: string | URL, options?: ClientOptions);
  /** Make any call and return its data. */
  call(method: string, path: string, body?: unknown, query?: Record<string, unknown>, key?: string): Promise<any>;
  /** Exchange a token for a browser's cookie. */
  login(token: string): Promise<{ userId: string }>;
  logout(): Promise<Record<string, never>>;
  /** A page of the user's sessions, newest first. */
  sessions(query?: { status?: Status; tag?: string; limit?: number; cursor?: string }): Promise<{ sessions: Session[]; nextCursor: string | null }>;
  create(fields: NewSession): Promise<Session>;
  session(id: string): Promise<Session>;
  /** Change pace, name or tags. */
  change(id: string, fields: { replayMsPerCandle?: number; speed?: number; name?: string | null; tags?: string[] }): Promise<Session>;
  /** Delete a session that is not running, with its log. */
  delete(id: string): Promise<object>;
  start(id: string, fields?: { acceptRevised?: boolean; acceptChanged?: boolean }): Promise<Session>;
  /** No candle follows the answer. */
  pause(id: string): Promise<Session>;
  resume(id: string, fields?: { acceptRevised?: boolean; acceptChanged?: boolean }): Promise<Session>;
  stop(id: string): Promise<Session>;
  /** Make so many ticks at once, then pause; `ifCursorMs` makes a repetition harmless. */
  step(id: string, candles?: number, fields?: { ifCursorMs?: number | null; wait?: boolean }): Promise<Session>;
  /** Run to a time or through the first event of a type, then pause. */
  runUntil(id: string, goal: { timeMs: number } | { eventType: string }): Promise<Session>;
  /** Run without pauses to a time, then go on as before. */
  jump(id: string, timeMs: number): Promise<Session>;
  pace(id: string, pace: { replayMsPerCandle: number } | { speed: number }): Promise<Session>;
  /** A session that shares the log up to a seq and goes its own way with the fields changed. */
  fork(id: string, atSeq: number, fields?: Record<string, unknown>): Promise<Session>;
  /** Place an order; it answers when the order is in the log. `key` makes a repetition harmless. */
  order(id: string, order: NewOrder, key?: string): Promise<Order>;
  /** A page of the orders, oldest first. */
  orders(id: string, query?: { status?: "open" | "all"; afterId?: number; limit?: number }): Promise<{ orders: Order[]; nextAfterId: number | null }>;
  /** Cancel an open order. */
  cancel(id: string, orderId: number): Promise<Order>;
  /** Cancel all open orders. */
  cancel(id: string): Promise<{ cancelled: number[]; commandSeq: number }>;
  /** Close a position with a market order, or all. */
  close(id: string, fields?: { symbol?: string; fill?: Fill; tag?: string; reason?: string }, key?: string): Promise<{ orders: Order[]; commandSeq: number }>;
  account(id: string): Promise<Account>;
  /** The simulated time, and when the next candle is due. */
  clock(id: string): Promise<Clock>;
  diff(id: string, other: string): Promise<Record<string, unknown>>;
  /** Settings that differ, statistics, curves and the first trades that part, of 2 to 20 sessions. */
  compare(ids: string[], points?: number): Promise<Comparison>;
  stats(id: string): Promise<Record<string, number | null>>;
  equity(id: string, points?: number): Promise<{ points: { seq: number; ts: number; equity: number; drawdownPct: number }[] }>;
  profiles(): Promise<{ profiles: { slug: string; parameters: object; source: string; timeframes: string[]; warmup: number }[] }>;
  /** The response with the file. */
  export(id: string, what?: { what?: "events" | "trades" | "equity"; format?: "ndjson" | "csv" | "parquet" }): Promise<Response>;
  /** The events that are in the log by now. */
  events(id: string, options?: { fromSeq?: number; types?: string }): AsyncGenerator<Event, void>;
  /** Every event of a log in order, each once, until the session has ended, however often its connection breaks. */
  tail(id: string, options?: TailOptions): AsyncGenerator<Event, void>;
  /** The same, as many events at once as have come. */
  batches(id: string, options?: TailOptions): AsyncGenerator<Event[], void>;
}
