// Position and statistics, next to the charts.

import { get, SESSIONS } from "../common/api.js";
import { symbolText } from "../common/display.js";
import { byId, fillPairs } from "../common/dom.js";
import { decimal, gain, minus, money, percent, time, whole } from "../common/format.js";

const INTERVAL_MS = 3000;
const share = (value) => `${value.toFixed(2)} %`;
const ratio = (value) => minus(value.toFixed(2));
const gainPct = (value) => gain(value, percent);
const FIGURES = {
  Return: ["returnPct", gainPct],
  "Buy and hold": ["buyAndHoldPct", gainPct],
  "Largest drawdown": ["maxDrawdownPct", share],
  Trades: ["trades", whole],
  Won: ["winRatePct", share],
  "Profit factor": ["profitFactor", ratio],
  "Mean result": ["expectancy", gain],
  "Best trade": ["bestTrade", gain],
  "Worst trade": ["worstTrade", gain],
  "Candles held": ["avgHoldBars", ratio],
  "In the market": ["exposurePct", share],
  Sharpe: ["sharpe", ratio],
  Sortino: ["sortino", ratio],
  "Sharpe of days": ["dailySharpe", ratio],
  "Sortino of days": ["dailySortino", ratio],
  Calmar: ["calmar", ratio],
  SQN: ["sqn", ratio],
};

/** Show the position of the last equity event. */
export function showPosition(session, event) {
  const list = byId("position");
  if (!event) return fillPairs(list, [["Strategy", session.profileSlug === "none" ? "none: candles only" : session.profileSlug]]);
  const p = event.payload;
  const held = p.positions ? Object.entries(p.positions).map(([symbol, { qty }]) => [symbolText(symbol), decimal(qty)]) : [[symbolText(session.symbols[0]), decimal(p.positionQty)]];
  const rest = [
    ["Equity", money(p.equity)],
    ["Cash", money(p.cash)],
    ["Position value", money(p.positionValue)],
    ["Realized", gain(p.realizedPnl)],
    ["Unrealized", gain(p.unrealizedPnl)],
    ["Fees paid", money(p.feesPaid)],
    ["Drawdown", `${p.drawdownPct.toFixed(2)} %`],
  ];
  return fillPairs(list, [...held, ...rest]);
}

export class Statistics {
  #next = 0;
  #seq = -1;
  #loading = false;
  /** The statistics read last; null before the first candle. */
  figures = null;

  constructor(session) {
    this.path = `${SESSIONS}/${session.id}`;
  }

  /** Read the statistics again when the log has grown: one call at a time, every few seconds at most unless `now`. */
  async refresh(session, now = false) {
    if (this.#seq < 0) fillPairs(byId("statistics"), basics(session));
    if (this.#loading || session.lastSeq === this.#seq || (!now && performance.now() < this.#next)) return;
    this.#loading = true;
    if (this.#seq < 0 && session.lastSeq > 0) fillPairs(byId("statistics"), [...basics(session), ["Figures", "being computed …"]]);
    this.#seq = session.lastSeq;
    const stats = await get(`${this.path}/stats`).catch(() => null);
    this.#loading = false;
    this.#next = performance.now() + INTERVAL_MS;
    this.figures = stats;
    fillPairs(byId("statistics"), stats?.toMs ? figures(stats) : basics(session));
  }
}

function basics(session) {
  const range = [["Events", whole(session.lastSeq)], ["Range from", time(session.startMs)]];
  return session.endMs === null ? range : [...range, ["Range to", time(session.endMs)]];
}

function figures(stats) {
  return Object.entries(FIGURES).map(([label, [name, format]]) => [label, stats[name] == null ? "–" : format(stats[name])]);
}
