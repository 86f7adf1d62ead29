// A bar that shows a cached series, its gaps and the chosen range before a session is created.

import { get } from "../common/api.js";
import { make } from "../common/dom.js";
import { fromField, timeframeMs, utc, whole } from "../common/format.js";

const NAMED_GAPS = 3;
const MAX_PAGES = 20;
const GAPS_PER_PAGE = 100;
const DRAWN_RANGES = 500;

export class CoverageBar {
  #requests = 0;

  constructor(element, text) {
    this.element = element;
    this.text = text;
  }

  /** Show a cached series and the range between two fields; a series that is not cached has no bar. */
  async show(series, from, to) {
    const request = ++this.#requests;
    this.element.replaceChildren();
    this.text.textContent = series ? "Looking for gaps …" : "The cache is checked when the session starts. The setting below says what happens if candles are missing.";
    const [startMs, endMs] = [fromField(from), fromField(to) ?? series?.endMs];
    if (!series) return;
    if (startMs === null || !(endMs > startMs)) {
      this.text.textContent = "Choose a start, and an end after it or no end.";
      return;
    }
    const result = await findGaps(series, startMs, endMs);
    if (request !== this.#requests) return;
    this.#draw(series, startMs, endMs, result.gaps);
    this.text.textContent = summary(series, startMs, endMs, result);
  }

  #draw(series, startMs, endMs, gaps) {
    const missing = gaps.map((gap) => [gap.fromMs, gap.toMs, "missing"]);
    drawRanges(this.element, [[series.firstMs, series.endMs, "cached"], ...missing, [startMs, endMs, "chosen"]]);
  }
}

/** Draw ranges of time, each `[fromMs, toMs, class]`, over each other in a bar as long as all of them. */
export function drawRanges(element, ranges) {
  const first = Math.min(...ranges.map(([from]) => from));
  const span = Math.max(...ranges.map(([, to]) => to)) - first;
  const pieces = [...ranges.slice(0, DRAWN_RANGES), ...ranges.slice(DRAWN_RANGES).slice(-1)].map(([from, to, kind]) => {
    const piece = make("span", { class: kind });
    piece.style.left = `${(100 * (from - first)) / span}%`;
    piece.style.width = `${(100 * (to - from)) / span}%`;
    return piece;
  });
  element.replaceChildren(...pieces);
}

/** Name the first gaps, and how many more there are. */
export function nameGaps(gaps) {
  const first = gaps.slice(0, NAMED_GAPS).map((gap) => `${utc(gap.fromMs)} to ${utc(gap.toMs)}`);
  return first.join(", ") + (gaps.length > NAMED_GAPS ? ` and ${gaps.length - NAMED_GAPS} more` : "");
}

/** The gaps within a range; `readMs` is how far a very long one was read, null when to its end. */
async function findGaps(series, startMs, endMs) {
  const [from, to] = [Math.max(startMs, series.firstMs), Math.min(endMs, series.endMs)];
  const { gaps, readMs } = series.gaps && from < to ? await readGaps(series, from, to) : { gaps: [], readMs: null };
  const around = [gap(series, startMs, Math.min(endMs, series.firstMs)), ...gaps, gap(series, Math.max(startMs, series.endMs), endMs)];
  return { gaps: around.filter(({ missing }) => missing > 0), readMs };
}

/** Read the gaps page by page; an answer has at most `GAPS_PER_PAGE`. */
async function readGaps({ venue, symbol, timeframe }, startMs, endMs) {
  const all = [];
  let from = startMs;
  for (let page = 0; page < MAX_PAGES && from !== null && from < endMs; page += 1) {
    const query = new URLSearchParams({ venue, symbol, timeframe, startMs: from, endMs, limit: 5000 });
    const { gaps, nextStartMs } = await get(`/api/market/candles?${query}`);
    all.push(...gaps);
    from = gaps.length >= GAPS_PER_PAGE ? gaps.at(-1).toMs : nextStartMs;
  }
  return { gaps: all, readMs: from !== null && from < endMs ? from : null };
}

const gap = ({ timeframe }, fromMs, toMs) => ({ fromMs, toMs, missing: Math.ceil((toMs - fromMs) / timeframeMs(timeframe)) });

function summary(series, startMs, endMs, { gaps, readMs }) {
  const total = Math.ceil((endMs - startMs) / timeframeMs(series.timeframe));
  const rest = readMs ? ` Checked up to ${utc(readMs)}; in the whole series ${whole(series.missing)} are missing.` : "";
  if (!gaps.length) return readMs ? `${whole(total)} slots, none missing so far.${rest}` : `${whole(total)} candles, none missing.`;
  const missing = gaps.reduce((sum, gap) => sum + gap.missing, 0);
  return `${whole(total)} slots, ${whole(missing)} missing in ${gaps.length} gap${gaps.length === 1 ? "" : "s"}: ${nameGaps(gaps)}.${rest}`;
}
