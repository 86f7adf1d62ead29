// The controls: what the session's status allows is possible, everything else is greyed out.

import { post, SESSIONS } from "../common/api.js";
import { byId, make, say } from "../common/dom.js";
import { fromField, pace, time, timeframeMs, toField } from "../common/format.js";
import { announce, attempt } from "../common/notice.js";

const PACES = [1000, 250, 50, 10, 0];
const LABELS = ["1/s", "4/s", "20/s", "100/s", "max"];
const PLAY = { created: "start", paused: "resume", failed: "start", running: "pause" };
const PLAY_LABELS = { start: "Play", resume: "Play", pause: "Pause" };
const STEPPABLE = ["created", "paused"];
const OVER = ["stopped", "finished"];

export class Steering {
  /** `onSession(session)` gets the session after every call; `forkSeq()` is the seq a fork begins behind. */
  constructor(session, { onSession, forkSeq }) {
    this.path = `${SESSIONS}/${session.id}`;
    this.onSession = onSession;
    this.forkSeq = forkSeq;
    byId("paces").append(...PACES.map((ms, place) => this.#paceButton(ms, place)));
    byId("play").addEventListener("click", () => this.play());
    byId("step").addEventListener("click", () => this.step());
    byId("stop").addEventListener("click", () => this.stop());
    byId("fork").addEventListener("click", () => this.fork());
    byId("until").addEventListener("submit", (submit) => this.#until(submit));
    byId("until-what").addEventListener("change", () => this.show(this.session));
    byId("until-time").addEventListener("input", () => (this.timed = true));
    this.show(session);
  }

  /** Bring buttons and texts in line with the session. */
  show(session) {
    this.session = session;
    const { status } = session;
    const byTime = byId("until-what").value === "time";
    say(byId("play"), PLAY_LABELS[PLAY[status]] ?? "Play");
    byId("play").disabled = !(status in PLAY);
    byId("step").disabled = !STEPPABLE.includes(status);
    byId("stop").disabled = OVER.includes(status);
    byId("until-time").hidden = !byTime;
    if (!this.timed && document.activeElement !== byId("until-time")) byId("until-time").value = toField(ahead(session));
    byId("until-go").disabled = !(STEPPABLE.includes(status) || (status === "running" && byTime));
    byId("paces").disabled = OVER.includes(status);
    for (const input of byId("paces").querySelectorAll("input")) input.checked = Number(input.value) === session.replayMsPerCandle;
    say(byId("status"), status);
    byId("status").dataset.status = status;
    this.#progress(session);
  }

  play() {
    const action = PLAY[this.session.status];
    return action && this.#do(() => this.#go(action));
  }

  /** Go on; over candles that were revised meanwhile only if the user says so. */
  async #go(action) {
    try {
      return await post(`${this.path}/${action}`);
    } catch (error) {
      if (error.code !== "candles_changed" || !(await confirmed(`${error.message} Go on over the revised candles?`, "Go on"))) throw error;
      return post(`${this.path}/${action}`, { acceptRevised: true });
    }
  }

  step() {
    return STEPPABLE.includes(this.session.status) && this.#control({ action: "step", candles: 1 });
  }

  async stop() {
    if (await confirmed("Stop this session for good? It cannot go on afterwards.", "Stop it")) await this.#do(() => post(`${this.path}/stop`));
  }

  /** Choose one of the paces, counted from 1. */
  pace(number) {
    if (!OVER.includes(this.session.status)) return this.#control({ action: "pace", replayMsPerCandle: PACES[number - 1] });
    return undefined;
  }

  async fork() {
    const child = await attempt(() => post(`${this.path}/fork`, { atSeq: this.forkSeq() }));
    if (child) location.assign(`/sessions/${child.id}`);
  }

  /** A paused session runs to there and pauses; a running one jumps there and goes on. */
  #until(submit) {
    submit.preventDefault();
    const what = byId("until-what").value;
    const timeMs = fromField(byId("until-time").value);
    if (what !== "time") return this.#control({ action: "runUntil", eventType: what });
    return timeMs !== null && this.#control({ action: this.session.status === "running" ? "jump" : "runUntil", timeMs });
  }

  #control(body) {
    return this.#do(() => post(`${this.path}/control`, body));
  }

  async #do(work) {
    const session = await attempt(work);
    if (!session) return;
    announce(`${session.status}, ${pace(session)}`);
    this.onSession(session);
  }

  #paceButton(ms, place) {
    const input = make("input", { type: "radio", name: "pace", value: ms, onchange: () => this.pace(place + 1) });
    const key = String(place + 1);
    return make("label", { title: `Key ${key}` }, input, make("span", {}, LABELS[place]));
  }

  /** Say where the session is, and how fast it goes where no button says so. */
  #progress(session) {
    const { progress, cursorMs, replayMsPerCandle } = session;
    const pct = progress?.pct ?? null; // Null while an endless session's candles are fetched.
    byId("progress").hidden = pct === null;
    byId("progress").value = pct ?? 0;
    const parts = [pct !== null && `${pct.toFixed(1)} %`, PACES.includes(replayMsPerCandle) ? null : pace(session)];
    byId("at").replaceChildren(cursorMs === null ? "not begun" : time(cursorMs), ...parts.filter(Boolean).map((part) => ` · ${part}`));
  }
}

/** A hundred candles after the cursor, but not behind the end: where one may want to run to. */
function ahead({ cursorMs, startMs, endMs, timeframe }) {
  return Math.min((cursorMs ?? startMs) + 100 * timeframeMs(timeframe), endMs ?? Infinity);
}

function confirmed(question, answer) {
  const dialog = byId("question");
  say(byId("question-text"), question);
  say(byId("question-yes"), answer);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
