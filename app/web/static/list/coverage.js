// A bar of what the cache holds, its gaps and the chosen range, before anything is started.

import { get } from "../common/api.js";
import { make } from "../common/dom.js";
import { fromField, timeframeMs, utc, whole } from "../common/format.js";

const NAMED = 3;
const PAGES = 20;
const LISTED = 100;
const DRAWN = 500;

export class CoverageBar {
  #asked = 0;

  constructor(element, text) {
    this.element = element;
    this.text = text;
  }

  /** Show a series of the cache and the range between two fields; without a series there is nothing to tell. */
  async show(series, from, to) {
    const asked = ++this.#asked;
    this.element.replaceChildren();
    this.text.textContent = series ? "Looking for gaps …" : "The cache is asked when the session starts; what is missing then stops it or not, as chosen below.";
    const [startMs, endMs] = [fromField(from), fromField(to) ?? series?.endMs];
    if (!series) return;
    if (startMs === null || !(endMs > startMs)) {
      this.text.textContent = "Choose a beginning, and an end behind it or none.";
      return;
    }
    const found = await missing(series, startMs, endMs);
    if (asked !== this.#asked) return;
    this.#draw(series, startMs, endMs, found.gaps);
    this.text.textContent = told(series, startMs, endMs, found);
  }

  #draw(series, startMs, endMs, gaps) {
    const missing = gaps.map((gap) => [gap.fromMs, gap.toMs, "missing"]);
    drawRanges(this.element, [[series.firstMs, series.endMs, "held"], ...missing, [startMs, endMs, "chosen"]]);
  }
}

/** Draw ranges of time, each `[fromMs, toMs, class]`, over each other in a bar as long as all of them. */
export function drawRanges(element, ranges) {
  const first = Math.min(...ranges.map(([from]) => from));
  const span = Math.max(...ranges.map(([, to]) => to)) - first;
  const pieces = [...ranges.slice(0, DRAWN), ...ranges.slice(DRAWN).slice(-1)].map(([from, to, kind]) => {
    const piece = make("span", { class: kind });
    piece.style.left = `${(100 * (from - first)) / span}%`;
    piece.style.width = `${(100 * (to - from)) / span}%`;
    return piece;
  });
  element.replaceChildren(...pieces);
}

/** Name the first gaps, and how many more there are. */
export function named(gaps) {
  const told = gaps.slice(0, NAMED).map((gap) => `${utc(gap.fromMs)} to ${utc(gap.toMs)}`);
  return told.join(", ") + (gaps.length > NAMED ? ` and ${gaps.length - NAMED} more` : "");
}

/** The gaps within a range; `readMs` is how far a very long one was read, null when to its end. */
async function missing(series, startMs, endMs) {
  const [from, to] = [Math.max(startMs, series.firstMs), Math.min(endMs, series.endMs)];
  const { gaps, readMs } = series.gaps && from < to ? await listed(series, from, to) : { gaps: [], readMs: null };
  const around = [gap(series, startMs, Math.min(endMs, series.firstMs)), ...gaps, gap(series, Math.max(startMs, series.endMs), endMs)];
  return { gaps: around.filter((each) => each.missing > 0), readMs };
}

/** Read candles page by page for the gaps between them, of which an answer lists only so many. */
async function listed({ venue, symbol, timeframe }, startMs, endMs) {
  const found = [];
  let from = startMs;
  for (let page = 0; page < PAGES && from !== null && from < endMs; page += 1) {
    const query = new URLSearchParams({ venue, symbol, timeframe, startMs: from, endMs, limit: 5000 });
    const { gaps, nextStartMs } = await get(`/api/market/candles?${query}`);
    found.push(...gaps);
    from = gaps.length >= LISTED ? gaps.at(-1).toMs : nextStartMs;
  }
  return { gaps: found, readMs: from !== null && from < endMs ? from : null };
}

const gap = ({ timeframe }, fromMs, toMs) => ({ fromMs, toMs, missing: Math.ceil((toMs - fromMs) / timeframeMs(timeframe)) });

function told(series, startMs, endMs, { gaps, readMs }) {
  const total = Math.ceil((endMs - startMs) / timeframeMs(series.timeframe));
  const rest = readMs ? ` Looked at up to ${utc(readMs)}; of the whole series ${whole(series.missing)} are missing.` : "";
  if (!gaps.length) return readMs ? `${whole(total)} slots, none missing so far.${rest}` : `${whole(total)} candles, none missing.`;
  const lost = gaps.reduce((sum, gap) => sum + gap.missing, 0);
  return `${whole(total)} slots, ${whole(lost)} missing in ${gaps.length} gap${gaps.length === 1 ? "" : "s"}: ${named(gaps)}.${rest}`;
}
