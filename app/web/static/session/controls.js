// The controls of a session. Those that its status does not allow are disabled.

import { post, SESSIONS } from "../common/api.js";
import { byId, make, setText } from "../common/dom.js";
import { fromField, pace, time, timeframeMs, toField } from "../common/format.js";
import { announce, attempt } from "../common/notice.js";

const PACES = [1000, 250, 50, 10, 0];
const LABELS = ["1/s", "4/s", "20/s", "100/s", "max"];
const PLAY = { created: "start", paused: "resume", failed: "start", running: "pause" };
const PLAY_LABELS = { start: "Play", resume: "Play", pause: "Pause" };
const STEPPABLE = ["created", "paused"];
const OVER = ["stopped", "finished"];

export class Controls {
  /** `onSession(session)` gets the session after every call; `forkSeq()` returns the seq to fork at. */
  constructor(session, { onSession, forkSeq }) {
    this.path = `${SESSIONS}/${session.id}`;
    this.onSession = onSession;
    this.forkSeq = forkSeq;
    byId("paces").append(...PACES.map((ms, index) => this.#paceButton(ms, index)));
    byId("play").addEventListener("click", () => this.play());
    byId("step").addEventListener("click", () => this.step());
    byId("stop").addEventListener("click", () => this.stop());
    byId("fork").addEventListener("click", () => this.fork());
    byId("until").addEventListener("submit", (submit) => this.#runTo(submit));
    byId("until-what").addEventListener("change", () => this.show(this.session));
    byId("until-time").addEventListener("input", () => (this.timeChosen = true));
    this.show(session);
  }

  /** Update buttons and texts. */
  show(session) {
    this.session = session;
    const { status } = session;
    const byTime = byId("until-what").value === "time";
    setText(byId("play"), PLAY_LABELS[PLAY[status]] ?? "Play");
    byId("play").disabled = !(status in PLAY);
    byId("step").disabled = !STEPPABLE.includes(status);
    byId("stop").disabled = OVER.includes(status);
    byId("until-time").hidden = !byTime;
    if (!this.timeChosen && document.activeElement !== byId("until-time")) byId("until-time").value = toField(defaultTime(session));
    byId("until-go").disabled = !(STEPPABLE.includes(status) || (status === "running" && byTime));
    byId("paces").disabled = OVER.includes(status);
    for (const input of byId("paces").querySelectorAll("input")) input.checked = Number(input.value) === session.replayMsPerCandle;
    setText(byId("status"), status);
    byId("status").dataset.status = status;
    this.#showProgress(session);
  }

  play() {
    const action = PLAY[this.session.status];
    return action && this.#do(() => this.#move(action));
  }

  /** Start, pause or resume. If candles or the strategy's code changed since, the user decides whether to go on with them. */
  async #move(action) {
    try {
      return await post(`${this.path}/${action}`);
    } catch (error) {
      if (error.code === "strategy_changed" && (await confirmed(`${error.message} Make the fork?`, "Fork"))) {
        const fork = await post(`${this.path}/${action}`, { acceptChanged: true });
        location.assign(`/sessions/${fork.id}`);
        return this.session;
      }
      if (error.code !== "candles_changed" || !(await confirmed(`${error.message} Continue with the revised candles?`, "Continue"))) throw error;
      return post(`${this.path}/${action}`, { acceptRevised: true });
    }
  }

  step() {
    return STEPPABLE.includes(this.session.status) && this.#control({ action: "step", candles: 1 });
  }

  async stop() {
    if (await confirmed("Stop this session? A stopped session cannot be started again.", "Stop session")) await this.#do(() => post(`${this.path}/stop`));
  }

  /** Set one of the paces; `number` counts from 1. */
  pace(number) {
    if (!OVER.includes(this.session.status)) return this.#control({ action: "pace", replayMsPerCandle: PACES[number - 1] });
    return undefined;
  }

  async fork() {
    const child = await attempt(() => post(`${this.path}/fork`, { atSeq: this.forkSeq() }));
    if (child) location.assign(`/sessions/${child.id}`);
  }

  /** A paused session runs to the time or event and pauses again; a running one jumps to the time and goes on. */
  #runTo(submit) {
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

  #paceButton(ms, index) {
    const input = make("input", { type: "radio", name: "pace", value: ms, onchange: () => this.pace(index + 1) });
    const key = String(index + 1);
    return make("label", { title: `Key ${key}` }, input, make("span", {}, LABELS[index]));
  }

  /** Show where the session is, and its pace where it is none of the buttons. */
  #showProgress(session) {
    const { progress, cursorMs, replayMsPerCandle } = session;
    const pct = progress?.pct ?? null; // Null while an endless session's candles are fetched.
    byId("progress").hidden = pct === null;
    byId("progress").value = pct ?? 0;
    const parts = [pct !== null && `${pct.toFixed(1)} %`, PACES.includes(replayMsPerCandle) ? null : pace(session)];
    byId("at").replaceChildren(cursorMs === null ? "not started" : time(cursorMs), ...parts.filter(Boolean).map((part) => ` · ${part}`));
  }
}

/** The time that "Run to" offers first: a hundred candles after the cursor, at most the end. */
function defaultTime({ cursorMs, startMs, endMs, timeframe }) {
  return Math.min((cursorMs ?? startMs) + 100 * timeframeMs(timeframe), endMs ?? Infinity);
}

function confirmed(question, yes) {
  const dialog = byId("question");
  setText(byId("question-text"), question);
  setText(byId("question-yes"), yes);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
