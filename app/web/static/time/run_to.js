// Run to a time or the next event of a type, at the session's pace; or jump to a time without pauses.

import { fromZoneField, isBlind, onZone, toZoneField } from "../common/display.js";
import { byId, option } from "../common/dom.js";
import { timeframeMs } from "../common/format.js";

const HOUR = 3_600_000;
const SKIPS = { "an hour on": HOUR, "a day on": 24 * HOUR, "a week on": 168 * HOUR };
const EVENTS = ["trade", "fill", "order", "signal"];
const STEPPABLE = ["created", "paused"];
const DEFAULT_CANDLES = 100;

export class RunTo {
  #chosen = false;

  /** `control(body)` makes a control call. */
  constructor(session, control) {
    this.control = control;
    this.session = session;
    const times = isBlind() ? [] : [option("time", "a time")];
    byId("until-what").replaceChildren(...times, ...Object.entries(SKIPS).map(([text, ms]) => option(ms, text)), ...EVENTS.map((type) => option(type, `the next ${type}`)));
    byId("until").addEventListener("submit", (submit) => {
      submit.preventDefault();
      if (submit.submitter?.id === "jump") this.jump();
      else this.run();
    });
    byId("until-what").addEventListener("change", () => this.show(this.session));
    byId("until-time").addEventListener("input", () => (this.#chosen = true));
    onZone(() => {
      this.#chosen = false;
      this.show(this.session);
    });
  }

  show(session) {
    this.session = session;
    const { status } = session;
    const byTime = byId("until-what").value === "time";
    const byEvent = EVENTS.includes(byId("until-what").value);
    byId("until-time").hidden = !byTime;
    if (!isBlind() && !this.#chosen && document.activeElement !== byId("until-time")) byId("until-time").value = toZoneField(this.#defaultTime());
    byId("until-go").disabled = !STEPPABLE.includes(status);
    byId("jump").disabled = byEvent || !(STEPPABLE.includes(status) || status === "running");
  }

  /** Run at the session's pace, then pause. */
  run() {
    const what = byId("until-what").value;
    if (EVENTS.includes(what)) return this.control({ action: "runUntil", eventType: what });
    const timeMs = this.#time();
    return timeMs !== null && this.control({ action: "runUntil", timeMs });
  }

  /** Go there without pauses; a running session runs on from there, a paused one pauses again. */
  async jump() {
    const timeMs = this.#time();
    if (timeMs === null || byId("jump").disabled) return;
    if (this.session.status === "created" && !(await this.control({ action: "step", candles: 1, wait: true }))) return;
    await this.control({ action: "jump", timeMs });
  }

  #time() {
    const what = byId("until-what").value;
    return what === "time" ? fromZoneField(byId("until-time").value) : this.#nowMs() + Number(what);
  }

  /** When the session's next candle opens. */
  #nowMs() {
    const { cursorMs, startMs, timeframe } = this.session;
    return cursorMs === null ? startMs : cursorMs + timeframeMs(timeframe);
  }

  /** The time that is offered first: a hundred candles on, at most the end. */
  #defaultTime() {
    const { cursorMs, startMs, endMs, timeframe } = this.session;
    return Math.min((cursorMs ?? startMs) + DEFAULT_CANDLES * timeframeMs(timeframe), endMs ?? Infinity);
  }
}
