// The candles of a new session: chosen from the cached series, or typed in.

import { get, schemas } from "../common/api.js";
import { byId, make, option } from "../common/dom.js";
import { timeframeMs, toField, utc, whole } from "../common/format.js";
import { randomRange, startBlindChoice } from "./blind.js";
import { CoverageBar } from "./coverage.js";

const DAY = 86_400_000;
const PRESETS = { "all of it": Infinity, "last 30 days": 30 * DAY, "last 7 days": 7 * DAY, "last day": DAY };

export class CandlePicker {
  #series = [];
  #bar = new CoverageBar(byId("coverage"), byId("coverage-text"));

  constructor() {
    const presets = Object.entries(PRESETS).map(([text, ms]) => make("button", { type: "button", class: "quiet", onclick: () => this.#range(ms) }, text));
    byId("presets").replaceChildren(...presets);
    byId("cached").addEventListener("change", () => this.#showSeries());
    startBlindChoice();
    for (const id of ["from", "to"]) byId(id).addEventListener("change", () => this.#showCoverage());
  }

  /** Read which series are cached, which takes a while where there are millions of candles, and choose one. */
  async load(preferred = null) {
    byId("cached").replaceChildren(option("", "reading …"));
    const [{ NewSession }, series] = await Promise.all([schemas(), coverage()]);
    byId("timeframe").replaceChildren(...NewSession.properties.timeframe.enum.map((name) => option(name)));
    this.#series = series;
    const options = this.#series.map((row, index) => option(index, title(row)));
    byId("cached").replaceChildren(...options, option("", "something else …"));
    const index = this.#series.findIndex((row) => preferred && ["venue", "symbol", "timeframe"].every((name) => row[name] === preferred[name]));
    if (index >= 0) byId("cached").value = index;
    this.#showSeries();
  }

  /** The candles' part of the request; a blind session's range is random and not shown. */
  values() {
    const series = this.#selected();
    const days = Number(byId("blind").value);
    if (series && days) return randomRange(byId("blind-any").checked ? this.#series.filter(({ timeframe }) => timeframe === series.timeframe) : [series], days);
    if (series) return { venue: series.venue, symbols: [series.symbol, ...checkedSymbols()], timeframe: series.timeframe };
    const symbols = byId("symbols").value.split(/[\s,]+/).filter(Boolean);
    return { venue: byId("venue").value, symbols, timeframe: byId("timeframe").value };
  }

  #selected() {
    return this.#series[byId("cached").value === "" ? -1 : Number(byId("cached").value)];
  }

  #showSeries() {
    const series = this.#selected();
    for (const field of document.querySelectorAll(".typed")) field.hidden = series !== undefined;
    for (const id of ["venue", "symbols"]) byId(id).required = series === undefined;
    byId("presets").hidden = series === undefined;
    byId("blind-row").hidden = series === undefined;
    if (!series) byId("blind").value = "";
    byId("blind").dispatchEvent(new Event("change"));
    byId("others").replaceChildren(...(series ? this.#others(series) : []));
    if (series) this.#range(Infinity);
    else this.#showCoverage();
  }

  /** Other symbols with candles of the same venue and timeframe. */
  #others(series) {
    const same = this.#series.filter((row) => row !== series && row.venue === series.venue && row.timeframe === series.timeframe);
    const boxes = same.map(({ symbol, spelling }) => make("label", { class: "choice" }, make("input", { type: "checkbox", value: symbol, name: "other" }), spelling ?? symbol));
    return boxes.length ? [make("span", { class: "hint" }, "Together with"), ...boxes] : [];
  }

  /** Choose the last `ms` milliseconds of the series. */
  #range(ms) {
    const { firstMs, endMs } = this.#selected();
    byId("from").value = toField(Math.max(firstMs, endMs - ms));
    byId("to").value = toField(endMs);
    this.#showCoverage();
  }

  #showCoverage() {
    this.#bar.show(this.#selected(), byId("from").value, byId("to").value);
  }
}

/** The cached series; `endMs` is where the last candle closes. */
async function coverage() {
  const { coverage: rows } = await get("/api/market/coverage");
  return rows.filter((row) => row.rows > 0).map((row) => ({ ...row, endMs: row.lastMs + timeframeMs(row.timeframe) }));
}

function title(row) {
  const gaps = row.gaps ? `${whole(row.gaps)} gap${row.gaps === 1 ? "" : "s"}` : "no gaps";
  return `${row.spelling ?? row.symbol} · ${row.timeframe} · ${row.venue} · ${utc(row.firstMs).slice(0, 10)} to ${utc(row.endMs).slice(0, 10)} · ${gaps}`;
}

const checkedSymbols = () => [...document.querySelectorAll("input[name=other]:checked")].map((box) => box.value);
