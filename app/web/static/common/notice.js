// What a page has to say: problems in sight of everybody, news for screen readers.

import { byId, make } from "./dom.js";
import { readable, utc } from "./format.js";

const QUIET_MS = 5000;
let quietUntil = 0;

/** Show what went wrong until it is dismissed or something else goes wrong. */
export function problem(error) {
  const box = byId("problem");
  const close = make("button", { type: "button", class: "quiet", onclick: clear }, "Dismiss");
  box.replaceChildren(make("p", {}, readable(error.message)), ...details(error), close);
  box.hidden = false;
}

export function clear() {
  byId("problem").hidden = true;
}

/** Tell a screen reader, without a word on the screen. */
export function announce(sentence) {
  byId("announcement").textContent = sentence;
  quietUntil = performance.now() + QUIET_MS;
}

/** Tell what happened by itself, unless something was told a moment ago: a fast session would never be silent. */
export function mention(sentence) {
  if (performance.now() >= quietUntil) announce(sentence);
}

/** Run something a user asked for; what goes wrong is shown. Returns its result, or nothing. */
export async function attempt(work) {
  try {
    clear();
    return await work();
  } catch (error) {
    problem(error);
    return undefined;
  }
}

function details(error) {
  const gaps = error.details?.gaps;
  if (!gaps) return [];
  const lines = gaps.slice(0, 5).map((gap) => make("li", {}, gapText(gap)));
  const more = gaps.length > 5 ? [make("li", {}, `… and ${gaps.length - 5} more`)] : [];
  return [make("ul", {}, ...lines, ...more)];
}

function gapText(gap) {
  return `${gap.symbol ?? ""} ${gap.timeframe ?? ""}: ${gap.missing} missing from ${utc(gap.fromMs)} to ${utc(gap.toMs)}`.trim();
}
