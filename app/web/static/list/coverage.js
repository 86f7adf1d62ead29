// A bar of what the cache holds, its gaps and the chosen range, before anything is started.

import { get, offers } from "../common/api.js";
import { make } from "../common/dom.js";
import { fromField, timeframeMs, utc, whole } from "../common/format.js";

const NAMED = 3;
const PAGES = 20;

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
    this.text.textContent = series ? "" : "This server does not say what its cache holds; gaps show when the session starts.";
    const [startMs, endMs] = [fromField(from), fromField(to) ?? series?.endMs];
    if (!series || startMs === null || !(endMs > startMs)) return;
    const gaps = await missing(series, startMs, endMs);
    if (asked !== this.#asked) return;
    this.#draw(series, startMs, endMs, gaps ?? []);
    this.text.textContent = told(series, startMs, endMs, gaps);
  }

  #draw(series, startMs, endMs, gaps) {
    const first = Math.min(series.firstMs, startMs);
    const span = Math.max(series.endMs, endMs) - first;
    const part = (from, to, kind) => {
      const piece = make("span", { class: kind });
      piece.style.left = `${(100 * (from - first)) / span}%`;
      piece.style.width = `${(100 * (to - from)) / span}%`;
      return piece;
    };
    this.element.append(
      part(series.firstMs, series.endMs, "held"),
      ...gaps.slice(0, 500).map((gap) => part(gap.fromMs, gap.toMs, "missing")),
      part(startMs, endMs, "chosen"),
    );
  }
}

/** The gaps within a range, read page by page; null where nobody can tell. Very long ranges are read in part. */
async function missing(series, startMs, endMs) {
  if (!(await offers("GET", "/api/market/candles"))) return null;
  const inside = series.gaps ? await listed(series, Math.max(startMs, series.firstMs), Math.min(endMs, series.endMs)) : [];
  return [gap(series, startMs, Math.min(endMs, series.firstMs)), ...inside, gap(series, Math.max(startMs, series.endMs), endMs)].filter((each) => each.missing > 0);
}

async function listed({ venue, symbol, timeframe }, startMs, endMs) {
  const found = [];
  let from = startMs;
  for (let page = 0; page < PAGES && from !== null && from < endMs; page += 1) {
    const query = new URLSearchParams({ venue, symbol, timeframe, startMs: from, endMs, limit: 5000 });
    const { gaps, nextStartMs } = await get(`/api/market/candles?${query}`);
    found.push(...gaps);
    from = nextStartMs;
  }
  return found;
}

const gap = ({ timeframe }, fromMs, toMs) => ({ fromMs, toMs, missing: Math.ceil((toMs - fromMs) / timeframeMs(timeframe)) });

function told(series, startMs, endMs, gaps) {
  const total = Math.ceil((endMs - startMs) / timeframeMs(series.timeframe));
  if (gaps === null) return `${whole(total)} slots; the cache has ${whole(series.gaps)} gaps somewhere.`;
  if (!gaps.length) return `${whole(total)} candles, none missing.`;
  const lost = gaps.reduce((sum, gap) => sum + gap.missing, 0);
  const named = gaps.slice(0, NAMED).map((gap) => `${utc(gap.fromMs)} to ${utc(gap.toMs)}`);
  const more = gaps.length > NAMED ? ` and ${gaps.length - NAMED} more` : "";
  return `${whole(total)} slots, ${whole(lost)} missing in ${gaps.length} gap${gaps.length === 1 ? "" : "s"}: ${named.join(", ")}${more}.`;
}
