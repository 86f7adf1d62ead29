// Messages of a page: problems on the screen, and announcements for screen readers.

import { symbolText, timeText } from "./display.js";
import { byId, make } from "./dom.js";
import { readable } from "./format.js";

const QUIET_MS = 5000;
let quietUntil = 0;

/** Show an error until the user dismisses it or the next one comes. */
export function showProblem(error) {
  const box = byId("problem");
  const close = make("button", { type: "button", class: "quiet", onclick: clearProblem }, "Dismiss");
  box.replaceChildren(make("p", {}, readable(error.message)), ...details(error), close);
  box.hidden = false;
}

export function clearProblem() {
  byId("problem").hidden = true;
}

/** Announce to a screen reader what the screen already shows. */
export function announce(sentence) {
  byId("announcement").textContent = sentence;
  quietUntil = performance.now() + QUIET_MS;
}

/** Announce an event of the session, unless there was an announcement a moment ago: a fast session would never be silent. */
export function announceUnlessRecent(sentence) {
  if (performance.now() >= quietUntil) announce(sentence);
}

/** Do what a user asked for and return its result; an error is shown, and the result is undefined. */
export async function attempt(work) {
  try {
    clearProblem();
    return await work();
  } catch (error) {
    showProblem(error);
    return undefined;
  }
}

function details(error) {
  const { at, source, candleMs } = error.details ?? {};
  if (at) {
    const candle = candleMs === undefined ? [] : [make("p", {}, `At the candle that opens at ${timeText(candleMs)}.`)];
    return [make("p", {}, at), ...(source ? [make("pre", {}, source)] : []), ...candle];
  }
  const gaps = error.details?.gaps;
  if (!gaps) return [];
  const lines = gaps.slice(0, 5).map((gap) => make("li", {}, gapText(gap)));
  const more = gaps.length > 5 ? [make("li", {}, `… and ${gaps.length - 5} more`)] : [];
  return [make("ul", {}, ...lines, ...more)];
}

function gapText(gap) {
  return `${symbolText(gap.symbol ?? "")} ${gap.timeframe ?? ""}: ${gap.missing} missing from ${timeText(gap.fromMs)} to ${timeText(gap.toMs)}`.trim();
}
