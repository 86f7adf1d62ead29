// What the tables of the comparison show in a cell.

import { make } from "../common/dom.js";
import { at } from "../common/root.js";
import { decimal, gain, label, minus, money, time, whole } from "../common/format.js";

const HOUR = 3_600_000;
const WHOLE = new Set(["trades", "wins", "losses", "winStreak", "lossStreak"]);
const NAMES = { cagrPct: "CAGR", sharpe: "Sharpe", sortino: "Sortino", dailyVolatilityPct: "Volatility of days", dailySharpe: "Sharpe of days", dailySortino: "Sortino of days", calmar: "Calmar", maxDrawdown: "Largest drawdown", maxDrawdownPct: "Deepest drawdown", maxDrawdownMs: "Longest drawdown", sqn: "SQN" };
const LEFT_OUT = new Set(["periodsPerYear"]);

/** Rows of label and cells for all figures that some session has. */
export function figureRows(figures) {
  const shown = Object.entries(figures).filter(([name, values]) => !LEFT_OUT.has(name) && values.some((value) => value !== null));
  return shown.map(([name, values]) => [NAMES[name] ?? label(name.replace(/(Pct|Ms)$/, "")), values.map((value) => figure(name, value))]);
}

function figure(name, value) {
  if (value === null) return "–";
  if (name === "fromMs" || name === "toMs") return time(value);
  if (name.endsWith("Ms")) return duration(value);
  if (name.endsWith("Pct")) return name === "returnPct" || name === "buyAndHoldPct" || name === "cagrPct" ? gain(value, (number) => `${signedTwo(number)} %`) : `${two(value)} %`;
  if (name === "netProfit") return gain(value);
  return WHOLE.has(name) ? whole(value) : Math.abs(value) >= 1 ? two(value) : decimal(Number(value.toPrecision(4)));
}

const two = (number) => minus(money(number));
const signedTwo = (number) => (number > 0 ? "+" : "") + two(number);

function duration(ms) {
  const hours = Math.floor(ms / HOUR);
  return hours < 48 ? `${hours} h ${Math.floor((ms % HOUR) / 60_000)} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A setting as text; times are in UTC. */
export function settingText(name, value) {
  if (value === null || value === undefined) return "–";
  if (name.endsWith("Ms") && typeof value === "number" && value > 1e11) return time(value);
  if (name === "strategyHash") return make("code", { title: value }, value.slice(0, 8));
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** A trade with a link to its place in the log of its session. */
export function tradeCell(session, found) {
  if (!found) return "no such trade";
  const { side, qty, symbol, entryPrice, exitPrice, entryTs, netPnl } = found.trade;
  return make(
    "span",
    {},
    make("a", { href: at(`/sessions/${session.id}?seq=${found.seq}`) }, `${side.toLowerCase()} ${decimal(qty)} ${symbol}`),
    ` from ${decimal(entryPrice)} to ${decimal(exitPrice)}, opened `,
    time(entryTs),
    ": ",
    gain(netPnl),
  );
}
