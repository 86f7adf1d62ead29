// A blind session: a range, and perhaps a symbol, that the user does not know. Its tag tells its page to hide them.

import { byId } from "../common/dom.js";

const DAY = 86_400_000;

/** Hide the range while it is a random one. */
export function startBlindChoice() {
  byId("blind").addEventListener("change", () => {
    const blind = byId("blind").value !== "";
    byId("blind-any-choice").hidden = !blind;
    for (const id of ["others", "range", "coverage", "coverage-text"]) byId(id).hidden = blind;
    for (const id of ["from", "to"]) byId(id).disabled = blind;
    if (blind && byId("gap-policy").value === "fail") byId("gap-policy").value = "skip";
  });
}

/** Whether the list hides what a session is: one with the tag, until it has ended. */
export const isHidden = ({ tags, status }) => tags.includes("blind") && !["stopped", "finished"].includes(status);

/** The fields of a session of some days of one of the series; a shorter series is used whole. */
export function randomRange(all, days) {
  const long = all.filter(({ firstMs, endMs }) => endMs - firstMs >= days * DAY);
  const series = long.length ? any(long) : any(all);
  const room = Math.max(0, Math.floor((series.endMs - days * DAY - series.firstMs) / DAY));
  const startMs = series.firstMs + random(room + 1) * DAY;
  const endMs = Math.min(series.endMs, startMs + days * DAY);
  return { venue: series.venue, symbols: [series.symbol], timeframe: series.timeframe, startMs, endMs, tags: ["blind"] };
}

const any = (list) => list[random(list.length)];

/** A whole number below a limit, from the browser's own source of chance. */
const random = (limit) => crypto.getRandomValues(new Uint32Array(1))[0] % limit;
