// What a page has to say: problems in sight of everybody, news for screen readers.

import { byId, make } from "./dom.js";

/** Show what went wrong until it is dismissed or something else goes wrong. */
export function problem(error) {
  const box = byId("problem");
  const close = make("button", { type: "button", class: "quiet", onclick: clear }, "Dismiss");
  box.replaceChildren(make("p", {}, error.message), ...details(error), close);
  box.hidden = false;
}

export function clear() {
  byId("problem").hidden = true;
}

/** Tell a screen reader, without a word on the screen. */
export function announce(sentence) {
  byId("announcement").textContent = sentence;
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
  const advice = "Import the missing candles, choose another range, or create the session with the gap policy skip or fill.";
  const lines = gaps.slice(0, 5).map((gap) => make("li", {}, gapText(gap)));
  const more = gaps.length > 5 ? [make("li", {}, `… and ${gaps.length - 5} more`)] : [];
  return [make("ul", {}, ...lines, ...more), make("p", {}, advice)];
}

function gapText(gap) {
  const [from, to] = [gap.fromMs, gap.toMs].map((ms) => new Date(ms).toISOString().slice(0, 16).replace("T", " "));
  return `${gap.symbol ?? ""} ${gap.timeframe ?? ""}: ${gap.missing} missing from ${from} to ${to}`.trim();
}
