// Horizontal lines at prices: open orders, the position, and prices of the ticket. A line can be dragged, or moved by keys.

import { LineStyle } from "../vendor/lightweight-charts.js";
import { byId, make, setText } from "../common/dom.js";
import { priceText, roundPrice } from "../common/prices.js";
import { color, onTheme } from "../common/theme.js";

const HEIGHT = 24;
const KEY_STEP = 0.0005;
const LONG_STEP = 10;
const WIDEST = 1;
const SLIDER = { role: "slider", tabindex: "0", "aria-orientation": "vertical" };

export class PriceLines {
  #lines = new Map();

  constructor(prices) {
    this.prices = prices;
    this.box = byId("price-lines");
    prices.bars.attachPrimitive(whenPainted(() => this.#place()));
    prices.bars.applyOptions({ autoscaleInfoProvider: (original) => this.#withLines(original()) });
    onTheme(() => this.#lines.forEach((line) => line.paint()));
  }

  /**
   * Show exactly these lines. Each has an `id`, a `price`, a `text` and a `label` for screen readers, and a `tone`. With
   * `onMove(price)` it can be moved; `buttons` are `{ text, label, onclick }`. A line that is being moved stays as it is.
   */
  show(specs) {
    const ids = new Set(specs.map(({ id }) => id));
    for (const [id, line] of this.#lines) {
      if (ids.has(id)) continue;
      line.remove();
      this.#lines.delete(id);
    }
    for (const spec of specs) {
      if (!this.#lines.has(spec.id)) this.#lines.set(spec.id, new PriceLine(this.prices, this.box));
      this.#lines.get(spec.id).update(spec);
    }
    this.#place();
  }

  /** Put the labels where their prices are; labels that would cover each other are set side by side. */
  #place() {
    const height = this.prices.chart.panes()[0]?.getHeight() ?? 0;
    const width = this.box.clientWidth - this.prices.chart.priceScale("right").width();
    const placed = [...this.#lines.values()].map((line) => ({ line, y: this.prices.bars.priceToCoordinate(line.price) }));
    placed.sort((a, b) => a.y - b.y);
    let [lastY, lane] = [-Infinity, 0];
    for (const { line, y } of placed) {
      lane = y - lastY < HEIGHT ? lane + 1 : 0;
      if (lane === 0) lastY = y;
      line.place(y !== null && y >= 0 && y <= height ? y : null, width, lane);
    }
  }

  /** Let the price scale include lines that are near what it shows. */
  #withLines(info) {
    if (!info?.priceRange) return info;
    const { minValue, maxValue } = info.priceRange;
    const room = WIDEST * (maxValue - minValue);
    const near = [...this.#lines.values()].map(({ price }) => price).filter((price) => price > minValue - room && price < maxValue + room);
    return { ...info, priceRange: { minValue: Math.min(minValue, ...near), maxValue: Math.max(maxValue, ...near) } };
  }
}

class PriceLine {
  price = 0;
  #spec = null;
  #moving = null;

  constructor(prices, box) {
    this.prices = prices;
    this.handle = make("span", { class: "price-handle" });
    this.tools = make("span", { class: "price-tools" });
    this.label = make("div", { class: "price-label" }, this.handle, this.tools);
    this.strip = make("div", { class: "price-strip" });
    this.element = make("div", { class: "price-line" }, this.strip, this.label);
    this.drawn = prices.bars.createPriceLine({ price: 0, lineWidth: 1, axisLabelVisible: true, title: "" });
    box.append(this.element);
    for (const part of [this.handle, this.strip]) this.#listen(part);
    this.handle.addEventListener("keydown", (press) => this.#onKey(press));
    this.handle.addEventListener("blur", () => this.#moving?.byKey && this.#cancel());
  }

  update(spec) {
    const same = this.#spec && kindOf(this.#spec) === kindOf(spec);
    this.#spec = spec;
    if (!this.#moving) this.#show(spec.price);
    if (same) return;
    this.element.dataset.tone = spec.tone;
    this.element.classList.toggle("movable", Boolean(spec.onMove));
    for (const [name, value] of Object.entries(SLIDER)) {
      if (spec.onMove) this.handle.setAttribute(name, value);
      else this.handle.removeAttribute(name);
    }
    this.tools.replaceChildren(...(spec.buttons ?? []).map((button, index) => this.#button(button, index)));
    this.#show(this.price);
    this.paint();
  }

  place(y, width, lane) {
    this.element.hidden = y === null;
    if (y === null) return;
    this.element.style.top = `${y}px`;
    this.element.style.width = `${width}px`;
    this.element.dataset.lane = String(lane % 3);
  }

  paint() {
    const { tone } = this.#spec;
    this.drawn.applyOptions({ color: color(`--line-${tone}`), axisLabelColor: color(`--line-${tone}`), axisLabelTextColor: color("--on-line"), lineStyle: tone === "draft" ? LineStyle.Dotted : LineStyle.Dashed });
  }

  remove() {
    this.prices.bars.removePriceLine(this.drawn);
    this.element.remove();
  }

  /** The button calls what the newest spec says at its place. */
  #button({ text, label }, index) {
    return make("button", { type: "button", "aria-label": label, title: label, onclick: () => this.#spec.buttons[index].onclick() }, text);
  }

  #show(price) {
    this.price = price;
    const text = priceText(this.prices.symbol, price);
    this.drawn.applyOptions({ price });
    setText(this.handle, `${this.#spec.text} ${text}`);
    if (!this.#spec.onMove) return;
    const { low, high } = this.#range();
    for (const [name, value] of Object.entries({ valuemin: low, valuemax: high, valuenow: price, valuetext: text, label: this.#spec.label })) this.handle.setAttribute(`aria-${name}`, value);
  }

  #range() {
    return { low: 0, high: Math.max(this.price * 2, this.#spec.price * 2) };
  }

  #listen(part) {
    part.addEventListener("pointerdown", (down) => {
      if (!this.#spec.onMove || down.button !== 0) return;
      down.preventDefault();
      part.setPointerCapture(down.pointerId);
      this.handle.focus({ preventScroll: true });
      this.#moving = { from: this.price };
    });
    part.addEventListener("pointermove", (moved) => this.#moving && !this.#moving.byKey && this.#drag(moved));
    part.addEventListener("pointerup", () => this.#moving && !this.#moving.byKey && this.#commit());
    part.addEventListener("pointercancel", () => this.#cancel());
  }

  #drag({ clientY }) {
    const price = this.prices.bars.coordinateToPrice(clientY - this.element.parentElement.getBoundingClientRect().top);
    if (price > 0) this.#show(roundPrice(this.prices.symbol, price));
  }

  /** Arrows move the line, Enter keeps the price, Escape goes back. */
  #onKey(press) {
    const steps = { ArrowUp: 1, ArrowDown: -1, PageUp: LONG_STEP, PageDown: -LONG_STEP }[press.key];
    if (!this.#spec.onMove || !(steps || (this.#moving && ["Enter", "Escape"].includes(press.key)))) return;
    press.preventDefault();
    press.stopPropagation();
    if (press.key === "Enter") return this.#commit();
    if (press.key === "Escape") return this.#cancel();
    this.#moving ??= { from: this.price, byKey: true };
    return this.#show(roundPrice(this.prices.symbol, this.price * (1 + steps * KEY_STEP)));
  }

  #commit() {
    const { from } = this.#moving;
    this.#moving = null;
    if (this.price !== from) this.#spec.onMove(this.price);
  }

  #cancel() {
    if (!this.#moving) return;
    this.#moving = null;
    this.#show(this.#spec.price);
  }
}

/** What of a line makes other elements: its tone, whether it moves, its buttons. */
const kindOf = ({ tone, onMove, buttons }) => [tone, Boolean(onMove), ...(buttons ?? []).map(({ label }) => label)].join("|");

/** A part of the chart that draws nothing but hears of each painting, when all coordinates are known. */
function whenPainted(listener) {
  const view = { renderer: () => ({ draw: listener }) };
  return { paneViews: () => [view] };
}
