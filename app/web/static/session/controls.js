// The controls of a session. Those that its status does not allow are disabled.

import { post, SESSIONS } from "../common/api.js";
import { at } from "../common/root.js";
import { byId, make, setText } from "../common/dom.js";
import { pace } from "../common/format.js";
import { askFork } from "./fork_dialog.js";
import { announce, attempt } from "../common/notice.js";
import { RunTo } from "../time/run_to.js";

export const PACES = [1000, 250, 50, 10, 0];
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
    this.runTo = new RunTo(session, (body) => this.#control(body));
    this.show(session);
  }

  /** Update buttons and texts. */
  show(session) {
    this.session = session;
    const { status } = session;
    setText(byId("play"), PLAY_LABELS[PLAY[status]] ?? "Play");
    byId("play").disabled = !(status in PLAY);
    byId("step").disabled = !STEPPABLE.includes(status);
    byId("stop").disabled = OVER.includes(status);
    this.runTo.show(session);
    byId("paces").disabled = OVER.includes(status);
    for (const input of byId("paces").querySelectorAll("input")) input.checked = Number(input.value) === session.replayMsPerCandle;
    setText(byId("status"), status);
    byId("status").dataset.status = status;
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
        location.assign(at(`/sessions/${fork.id}`));
        return this.session;
      }
      if (error.code !== "candles_changed" || !(await confirmed(`${error.message} Continue with the revised candles?`, "Continue"))) throw error;
      return post(`${this.path}/${action}`, { acceptRevised: true });
    }
  }

  step() {
    return STEPPABLE.includes(this.session.status) && this.#control({ action: "step", candles: 1 });
  }

  jump() {
    return this.runTo.jump();
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
    const fields = await attempt(() => askFork(this.session, this.forkSeq()));
    if (!fields) return;
    const child = await attempt(() => post(`${this.path}/fork`, fields));
    if (child) location.assign(at(`/sessions/${child.id}`));
  }

  #control(body) {
    return this.#do(() => post(`${this.path}/control`, body));
  }

  async #do(work) {
    const session = await attempt(work);
    if (!session) return undefined;
    announce(`${session.status}, ${pace(session)}`);
    this.onSession(session);
    return session;
  }

  #paceButton(ms, index) {
    const input = make("input", { type: "radio", name: "pace", value: ms, onchange: () => this.pace(index + 1) });
    const key = String(index + 1);
    return make("label", { title: `Key ${key}` }, input, make("span", {}, LABELS[index]));
  }
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
