// The volume profile of the visible candles: how much was traded at which price, as bars from the left edge.

import { color } from "../common/theme.js";
import { volumeProfile } from "./indicators.js";

const STEPS = 40;
const WIDTH = 0.25;

export class VolumeProfile {
  #shown = false;

  constructor(prices) {
    this.prices = prices;
    const view = { zOrder: () => "bottom", renderer: () => ({ draw: (target) => this.#shown && target.useMediaCoordinateSpace((scope) => this.#draw(scope)) }) };
    prices.bars.attachPrimitive({ attached: ({ requestUpdate }) => (this.update = requestUpdate), paneViews: () => [view] });
  }

  show(shown) {
    this.#shown = shown;
    this.update?.();
  }

  #draw({ context, mediaSize }) {
    const range = this.prices.chart.timeScale().getVisibleLogicalRange();
    if (!range) return;
    const steps = volumeProfile(this.prices.shown().slice(Math.max(0, Math.floor(range.from)), Math.max(0, Math.ceil(range.to) + 1)), STEPS);
    const most = Math.max(...steps.map(({ volume }) => volume), 0);
    if (!most) return;
    context.fillStyle = color("--profile");
    for (const { low, high, volume } of steps) {
      const [top, bottom] = [high, low].map((price) => this.prices.bars.priceToCoordinate(price));
      context.fillRect(0, top, (WIDTH * mediaSize.width * volume) / most, Math.max(1, bottom - top - 1));
    }
  }
}
