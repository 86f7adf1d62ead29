// How this page writes times and symbols: in UTC or local time; in blind mode without dates and symbols.

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
const KEY = "zeon-time-zone";
const MS_TEXT = /\b1\d{12}\b/g;
const DATE_TEXT = /\b(19|20)\d\d-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?Z?)?/g;
const listeners = new Set();

let zone = "utc";
let blind = null;

/** Use the zone that was chosen at an earlier visit. */
export function startZone() {
  zone = localStorage.getItem(KEY) === "local" ? "local" : "utc";
}

export const currentZone = () => zone;
export const isBlind = () => blind !== null;

/** Call back when the time zone changes. */
export const onZone = (listener) => listeners.add(listener);

/** Write times in `utc` or `local` from now on, also at the next visit. */
export function chooseZone(name) {
  zone = name;
  localStorage.setItem(KEY, name);
  for (const listener of listeners) listener();
}

/** Hide dates, symbols and the venue of a session from now on; days are counted from its start. */
export function hideIdentity({ startMs, symbols, venue }) {
  const names = symbols.map((symbol, index) => [symbol, symbols.length > 1 ? `Symbol ${String.fromCharCode(65 + index)}` : "Symbol"]);
  // The longest first, because one name may begin with another.
  const hidden = [...names].sort(([a], [b]) => b.length - a.length);
  blind = { day: Math.floor(startMs / DAY), names: new Map(names), hidden, venue };
}

/** The name of the zone for headings. In blind mode times are always UTC: the local zone shows the season. */
export const zoneName = () => (zone === "local" && !blind ? "local" : "UTC");

const pad = (number) => String(number).padStart(2, "0");

/** `2024-01-01 09:30` in the chosen zone, with seconds where there are any; in blind mode `day 1 09:30`. */
export function timeText(ms) {
  if (blind) return `day ${Math.floor(ms / DAY) - blind.day + 1} ${clockText(ms)}`;
  const at = shifted(ms);
  return `${at.toISOString().slice(0, 10)} ${clockText(ms)}`;
}

/** `09:30` in the chosen zone, with seconds where there are any. */
export function clockText(ms) {
  const at = shifted(ms);
  const seconds = ms % MINUTE ? `:${pad(at.getUTCSeconds())}` : "";
  return `${pad(at.getUTCHours())}:${pad(at.getUTCMinutes())}${seconds}`;
}

/** A date whose UTC fields are those of the chosen zone. */
function shifted(ms) {
  const offset = zoneName() === "local" ? new Date(ms).getTimezoneOffset() * MINUTE : 0;
  return new Date(ms - offset);
}

/** What a `datetime-local` field holds, in the chosen zone; null for an empty one. */
export function fromZoneField(text) {
  if (!text) return null;
  return zoneName() === "local" ? new Date(text).getTime() : Date.parse(`${text}Z`);
}

export const toZoneField = (ms) => shifted(ms).toISOString().slice(0, 16);

/** The name of a symbol to show. */
export const symbolText = (symbol) => blind?.names.get(symbol) ?? symbol;

/** A text of a strategy, a user or the server; in blind mode without the session's symbols and without dates. */
export function masked(text) {
  if (!blind) return text;
  let shown = String(text);
  for (const [symbol, name] of blind.hidden) shown = shown.split(symbol).join(name);
  if (blind.venue) shown = shown.split(`"${blind.venue}"`).join('"venue"');
  return shown.replace(MS_TEXT, (ms) => timeText(Number(ms))).replace(DATE_TEXT, "a date");
}
