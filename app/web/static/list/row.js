// One session in the table. It is updated in place, so that focus and selection stay.

import { get, SESSIONS } from "../common/api.js";
import { at } from "../common/root.js";
import { make, setText } from "../common/dom.js";
import { gain, pace, percent, readable, time, utc } from "../common/format.js";
import { isHidden } from "./blind.js";
import { describe } from "./describe.js";
import { sparkline } from "./sparkline.js";

const POINTS = 48;
const NEXT_ACTION = { created: "start", paused: "resume", failed: "start", running: "pause" };
const LABELS = { start: "Start", resume: "Resume", pause: "Pause" };

export class Row {
  #session = null;
  #resultSeq = -1;
  /** The result in percent; null if it is unknown. */
  gainPct = null;

  /** `act(action, session)` is called with start, pause, resume, delete or changed; `onChoose()` when it is selected. */
  constructor(act, onChoose) {
    this.choose = make("input", { type: "checkbox", onchange: onChoose });
    this.link = make("a", { class: "name" });
    this.what = make("span", { class: "hint" });
    this.error = make("span", { class: "hint negative" });
    this.about = make("div", { class: "about" }, this.link, this.what, this.error);
    this.status = make("span", { class: "status" });
    this.bar = make("progress", { max: 100 });
    this.done = make("span", { class: "hint" });
    this.pace = make("td", { "data-label": "Pace" });
    this.result = make("td", { "data-label": "Result", class: "number" }, "–");
    this.move = make("button", { type: "button", onclick: () => act(NEXT_ACTION[this.#session.status], this.#session) });
    this.more = make("details", { class: "menu" }, make("summary", {}, "More"));
    this.remove = make("button", { type: "button", class: "quiet", onclick: () => act("delete", this.#session) }, "Delete");
    this.element = make(
      "tr",
      {},
      make("th", { scope: "row" }, make("div", { class: "choosing" }, this.choose, this.about)),
      make("td", { "data-label": "Status" }, this.status),
      make("td", { "data-label": "Progress", class: "progress" }, this.bar, this.done),
      this.pace,
      this.result,
      make("td", { class: "actions" }, make("div", { class: "row end whole" }, this.move, this.more, this.remove)),
    );
  }

  update(session) {
    const changed = JSON.stringify(session) !== JSON.stringify(this.#session);
    this.#session = session;
    if (!changed) return;
    const hidden = isHidden(session);
    const title = hidden ? "Blind session" : (session.name ?? session.symbols.join(" "));
    this.link.href = at(`/sessions/${session.id}`);
    setText(this.link, title);
    this.choose.setAttribute("aria-label", `Select ${title}`);
    const place = hidden ? [] : [`${session.symbols.join(" ")} · `];
    this.what.replaceChildren(...place, `${session.timeframe} · ${session.profileSlug}`, ...(hidden ? [] : [" · ", time(session.startMs)]), ...session.tags.map((tag) => make("span", { class: "tag" }, tag)));
    setText(this.status, session.status);
    this.status.dataset.status = session.status;
    this.error.hidden = !session.error;
    setText(this.error, hidden ? "" : readable(session.error ?? ""));
    this.#progress(session, title);
    setText(this.pace, pace(session));
    this.#buttons(session, title);
    this.#showResult(session);
  }

  /** How much is done; an endless session has no percentage, but may wait for a candle. */
  #progress({ progress, waitingFor }, title) {
    const pct = progress?.pct ?? null;
    this.bar.hidden = pct === null;
    this.bar.setAttribute("aria-label", `Progress of ${title}`);
    this.bar.value = pct ?? 0;
    this.done.title = waitingFor?.text ?? "";
    if (progress?.checking) setText(this.done, "checks its changed code");
    else if (waitingFor) setText(this.done, `waits for ${utc(waitingFor.openTimeMs)}`);
    else setText(this.done, pct === null ? "endless" : `${pct.toFixed(pct < 10 ? 1 : 0)} %`);
  }

  #buttons(session, title) {
    const action = NEXT_ACTION[session.status];
    this.move.hidden = action === undefined;
    setText(this.move, LABELS[action] ?? "");
    this.move.setAttribute("aria-label", `${LABELS[action]} ${title}`);
    this.remove.disabled = session.status === "running";
    this.remove.title = this.remove.disabled ? "Pause or stop the session first" : "";
    this.remove.setAttribute("aria-label", `Delete ${title}`);
    this.more.firstChild.setAttribute("aria-label", `More about ${title}`);
    const path = `${SESSIONS}/${session.id}`;
    const files = [["Trades, CSV", "export?what=trades&format=csv"], ["Equity, CSV", "export?what=equity&format=csv"], ["Events, NDJSON", "export?what=events&format=ndjson"], ["Figures, JSON", "stats"]];
    this.more.replaceChildren(
      this.more.firstChild,
      make("div", { class: "panel stack" }, make("button", { type: "button", onclick: () => this.#describe() }, "Name and tags"), ...files.map(([words, file]) => make("a", { href: `${path}/${file}` }, words))),
    );
  }

  #describe() {
    this.more.open = false;
    this.link.hidden = true;
    describe(this.#session, this.about, (changed) => {
      this.link.hidden = false;
      this.link.focus();
      if (changed) this.update(changed);
    });
  }

  /** Show the strategy's result so far; a session without a strategy has none. */
  async #showResult(session) {
    if (session.profileSlug === "none" || session.lastSeq === this.#resultSeq) return;
    this.#resultSeq = session.lastSeq;
    const { points } = await get(`${SESSIONS}/${session.id}/equity?points=${POINTS}&sample=true`).catch(() => ({ points: [] }));
    if (!points.length) return;
    const values = [session.initialCash, ...points.map(({ equity }) => equity)];
    this.gainPct = (100 * (values.at(-1) - session.initialCash)) / session.initialCash;
    const result = gain(this.gainPct, percent);
    this.result.replaceChildren(make("span", { class: "result" }, sparkline(values), result));
  }
}
