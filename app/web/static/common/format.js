// Formats numbers and times. Times are in the zone of display.js; the time in the other zone is the title that a pointer shows.

import { currentZone, isBlind, masked, timeText } from "./display.js";
import { make } from "./dom.js";

const MINUTE = 60_000;
const UNITS = { m: MINUTE, h: 60 * MINUTE, d: 1440 * MINUTE, w: 10080 * MINUTE };
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const CENTS = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const FOUR = new Intl.NumberFormat("en", { maximumFractionDigits: 4 });
const EIGHT = new Intl.NumberFormat("en", { maximumFractionDigits: 8 });
const LOCAL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

/** Milliseconds of a timeframe such as `15m`. */
export const timeframeMs = (name) => parseInt(name, 10) * UNITS[name.at(-1)];

/** `2024-01-01 09:30`, with seconds where there are any. */
export function utc(ms) {
  const text = new Date(ms).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, ms % MINUTE ? 19 : 16)}`;
}

export const local = (ms) => `${LOCAL.format(ms)} local time`;

/** A sentence of the server in which times in milliseconds are written as text. */
export const readable = (sentence) => masked(sentence).replace(/\b1\d{12}\b/g, (ms) => timeText(Number(ms)));

/** A `<time>` of a session; in blind mode nothing but its text. */
export function time(ms) {
  if (isBlind()) return make("span", { class: "time" }, timeText(ms));
  const title = currentZone() === "local" ? `${utc(ms)} UTC` : local(ms);
  return make("time", { datetime: new Date(ms).toISOString(), title }, timeText(ms));
}

/** A `<time>` of the real world, such as when a link ends; always in UTC. */
export const realTime = (ms) => make("time", { datetime: new Date(ms).toISOString(), title: local(ms) }, utc(ms));

export const whole = (number) => WHOLE.format(number);

/** A number with more decimals the smaller it is. */
export function decimal(number) {
  const size = Math.abs(number);
  return minus((size >= 1000 ? CENTS : size >= 1 ? FOUR : EIGHT).format(number));
}

export const money = (number) => minus(CENTS.format(number));

export const minus = (text) => text.replace("-", "−");

/** A number with its sign, for gains and losses. */
export const signed = (number, format = money) => (number > 0 ? "+" : number < 0 ? "−" : "") + format(Math.abs(number));

export const percent = (number, digits = 2) => `${signed(number, (size) => size.toFixed(digits))} %`;

/** `positive`, `negative` or nothing: the class of a gain or loss. */
export const tone = (number) => (number > 0 ? "positive" : number < 0 ? "negative" : "");

/** A gain or loss in its color. */
export const gain = (number, format = signed) => make("span", { class: tone(number) }, format(number));

/** The pace of a session in words. */
export function pace(session) {
  if (session.speed != null) return `${session.speed}× real time`;
  const ms = session.replayMsPerCandle;
  if (ms === 0) return "as fast as possible";
  return ms <= 1000 ? `${decimal(1000 / ms)} candle${ms === 1000 ? "" : "s"} a second` : `a candle every ${decimal(ms / 1000)} s`;
}

/** `unrealizedPnl` as `Unrealized pnl`. */
export function label(name) {
  const text = name.replace(/([a-z])([A-Z0-9])/g, "$1 $2").toLowerCase();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** What a `datetime-local` field holds, read as UTC; null for an empty one. */
export const fromField = (text) => (text ? Date.parse(`${text}Z`) : null);
export const toField = (ms) => new Date(ms).toISOString().slice(0, 16);
