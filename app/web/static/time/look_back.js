// A look back: the chart as it was at an earlier candle. Only the view changes; the session and its log go on.

import { indexAt, keyOf } from "../chart/series.js";
import { onZone, timeText } from "../common/display.js";
import { byId, setText } from "../common/dom.js";
import { timeframeMs } from "../common/format.js";
import { attempt } from "../common/notice.js";

const SETTLE_MS = 120;

export class LookBack {
  #timer = null;

  /** `onChange()` is called when another time is shown. */
  constructor(session, prices, position, onChange) {
    Object.assign(this, { session, prices, position, onChange });
    this.slotMs = timeframeMs(session.timeframe);
    byId("scrub").addEventListener("input", () => this.#scrub());
    byId("back").addEventListener("click", () => this.back());
    byId("forward").addEventListener("click", () => this.forward());
    byId("live").addEventListener("click", () => this.now());
    onZone(() => this.show(this.session));
  }

  /** Whether the screen shows an earlier time, or an older part of the log. */
  get isBack() {
    return this.prices.until !== Infinity || this.position.lookingBack;
  }

  /** Go back by candles. */
  back(count = 1) {
    const bars = this.prices.base();
    if (bars.length < 2) return undefined;
    return this.#showBar(bars, Math.max(0, bars.length - 1 - count));
  }

  /** Go forward by candles; behind the newest one is the present. */
  forward(count = 1) {
    if (!this.isBack) return undefined;
    const bars = this.#loaded();
    const index = this.prices.base().length - 1 + count;
    if (index < bars.length - 1 || (this.position.lookingBack && index < bars.length)) return this.#showBar(bars, index);
    return this.position.lookingBack ? this.goTo((bars.at(-1)?.time ?? 0) * 1000 + count * this.slotMs) : this.now();
  }

  /** Show the present again. */
  now() {
    clearTimeout(this.#timer);
    this.prices.showUntil(Infinity);
    this.position.toLive();
    this.#changed();
  }

  /** Show the chart as it was when the candle of a time (ms) had closed; what is not loaded is read. */
  async goTo(ms) {
    const now = this.#nowMs();
    if (now === null) return;
    if (ms >= now) return this.now();
    if (!this.#holds(ms)) await this.position.lookBackAt(ms);
    const bars = this.#loaded();
    this.#showBar(bars, Math.max(0, indexAt(bars, ms / 1000)));
  }

  /** Update the slider and the badge. */
  show(session) {
    this.session = session;
    const [now, shown] = [this.#nowMs(), this.prices.base().at(-1)];
    const slots = now === null ? 0 : Math.max(0, Math.round((now - session.startMs) / this.slotMs));
    const slider = byId("scrub");
    slider.max = slots;
    slider.disabled = slots === 0;
    if (document.activeElement !== slider || !this.isBack) slider.value = shown ? Math.round((shown.time * 1000 - session.startMs) / this.slotMs) : slots;
    slider.setAttribute("aria-valuetext", shown ? timeText(shown.time * 1000) : "no candle yet");
    byId("back").disabled = slots === 0;
    byId("forward").disabled = !this.isBack;
    byId("looking-back").hidden = !this.isBack;
    document.body.classList.toggle("is-back", this.isBack);
    if (this.isBack && shown) setText(byId("looking-back-text"), `Looking back at ${timeText(shown.time * 1000)}. Only the view is there; the session is not changed, and new events are not drawn.`);
  }

  /** Go to where the slider is, once it rests: each move of a pointer is an event. */
  #scrub() {
    const ms = this.session.startMs + Number(byId("scrub").value) * this.slotMs;
    clearTimeout(this.#timer);
    if (this.#holds(ms) && ms < this.#nowMs()) this.#showBar(this.#loaded(), Math.max(0, indexAt(this.#loaded(), ms / 1000)));
    else this.#timer = setTimeout(() => attempt(() => this.goTo(ms)), SETTLE_MS);
  }

  #showBar(bars, index) {
    this.prices.showUntil(bars[index].time);
    this.#changed();
  }

  #changed() {
    this.show(this.session);
    this.onChange();
  }

  #loaded() {
    return this.prices.candles.of(keyOf(this.prices.symbol, this.session.timeframe));
  }

  /** Whether the candle of a time is loaded. */
  #holds(ms) {
    const bars = this.#loaded();
    const end = this.position.lookingBack ? bars.at(-1)?.time : Infinity;
    return bars.length > 0 && ms / 1000 >= bars[0].time && ms / 1000 <= end;
  }

  /** The open time of the newest candle of the session; null before the first. */
  #nowMs() {
    const newest = this.position.lookingBack ? null : this.#loaded().at(-1);
    return newest ? newest.time * 1000 : this.session.cursorMs;
  }
}
