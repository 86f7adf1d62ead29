// Which candles a new session takes: chosen from what the cache holds, or typed where nobody can tell.

import { description, get } from "../common/api.js";
import { byId, make, option } from "../common/dom.js";
import { timeframeMs, toField, utc, whole } from "../common/format.js";
import { CoverageBar } from "./coverage.js";

const DAY = 86_400_000;
const PRESETS = { "all of it": Infinity, "last 30 days": 30 * DAY, "last 7 days": 7 * DAY, "last day": DAY };

export class Candles {
  #series = [];
  #bar = new CoverageBar(byId("coverage"), byId("coverage-text"));

  constructor() {
    const presets = Object.entries(PRESETS).map(([text, ms]) => make("button", { type: "button", class: "quiet", onclick: () => this.#range(ms) }, text));
    byId("presets").replaceChildren(...presets);
    byId("cached").addEventListener("change", () => this.#choose());
    for (const id of ["from", "to"]) byId(id).addEventListener("change", () => this.#look());
  }

  /** Ask what the cache holds, which takes a while where it holds millions of candles, and choose a series. */
  async load(preferred = null) {
    byId("cached").replaceChildren(option("", "reading …"));
    const [{ components }, series] = await Promise.all([description(), coverage()]);
    byId("timeframe").replaceChildren(...components.schemas.NewSession.properties.timeframe.enum.map((name) => option(name)));
    this.#series = series;
    const options = this.#series.map((each, place) => option(place, title(each)));
    byId("cached").replaceChildren(...options, option("", "something else …"));
    const place = this.#series.findIndex((each) => preferred && ["venue", "symbol", "timeframe"].every((name) => each[name] === preferred[name]));
    if (place >= 0) byId("cached").value = place;
    this.#choose();
  }

  /** What the request says about candles. */
  chosen() {
    const series = this.#selected();
    if (series) return { venue: series.venue, symbols: [series.symbol, ...checked()], timeframe: series.timeframe };
    const symbols = byId("symbols").value.split(/[\s,]+/).filter(Boolean);
    return { venue: byId("venue").value, symbols, timeframe: byId("timeframe").value };
  }

  #selected() {
    return this.#series[byId("cached").value === "" ? -1 : Number(byId("cached").value)];
  }

  #choose() {
    const series = this.#selected();
    for (const field of document.querySelectorAll(".typed")) field.hidden = series !== undefined;
    for (const id of ["venue", "symbols"]) byId(id).required = series === undefined;
    byId("presets").hidden = series === undefined;
    byId("others").replaceChildren(...(series ? this.#others(series) : []));
    if (series) this.#range(Infinity);
    else this.#look();
  }

  /** Further symbols that have candles of the same kind. */
  #others(series) {
    const same = this.#series.filter((each) => each !== series && each.venue === series.venue && each.timeframe === series.timeframe);
    const boxes = same.map(({ symbol, spelling }) => make("label", { class: "choice" }, make("input", { type: "checkbox", value: symbol, name: "other" }), spelling ?? symbol));
    return boxes.length ? [make("span", { class: "hint" }, "Together with"), ...boxes] : [];
  }

  /** Choose the last so many milliseconds of what there is. */
  #range(ms) {
    const { firstMs, endMs } = this.#selected();
    byId("from").value = toField(Math.max(firstMs, endMs - ms));
    byId("to").value = toField(endMs);
    this.#look();
  }

  #look() {
    this.#bar.show(this.#selected(), byId("from").value, byId("to").value);
  }
}

/** What the cache holds; `endMs` is where its last candle closes. */
async function coverage() {
  const { coverage: rows } = await get("/api/market/coverage");
  return rows.filter((row) => row.rows > 0).map((row) => ({ ...row, endMs: row.lastMs + timeframeMs(row.timeframe) }));
}

function title(row) {
  const gaps = row.gaps ? `${whole(row.gaps)} gap${row.gaps === 1 ? "" : "s"}` : "no gaps";
  return `${row.spelling ?? row.symbol} · ${row.timeframe} · ${row.venue} · ${utc(row.firstMs).slice(0, 10)} to ${utc(row.endMs).slice(0, 10)} · ${gaps}`;
}

const checked = () => [...document.querySelectorAll("input[name=other]:checked")].map((box) => box.value);
