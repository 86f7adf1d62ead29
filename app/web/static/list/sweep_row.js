// The runs of a sweep in one row, which unfolds.

import { make, setText } from "../common/dom.js";
import { whole } from "../common/format.js";

export class SweepRow {
  /** `onToggle()` is called after a click; `compare(ids)` opens the comparison. */
  constructor(tag, { onToggle, compare }) {
    this.open = false;
    this.ids = [];
    this.toggle = make("button", { type: "button", class: "quiet fold", "aria-expanded": "false", onclick: () => this.#turn(onToggle) });
    this.status = make("span", { class: "hint" });
    this.compare = make("button", { type: "button", onclick: () => compare(this.ids) }, "Compare first 20");
    this.compare.setAttribute("aria-label", `Compare the first 20 runs of ${tag}`);
    this.element = make(
      "tr",
      { class: "sweep" },
      make("th", { scope: "row", colspan: 5 }, make("div", { class: "about" }, this.toggle, this.status)),
      make("td", { class: "actions" }, make("div", { class: "row end whole" }, this.compare)),
    );
    this.tag = tag;
  }

  /** Show the runs that are loaded, in the order of the list. */
  update(sessions) {
    this.ids = sessions.slice(0, 20).map(({ id }) => id);
    const counts = new Map();
    for (const { status } of sessions) counts.set(status, (counts.get(status) ?? 0) + 1);
    const about = `${sessions[0].symbols.join(" ")} · ${sessions[0].timeframe} · ${sessions[0].profileSlug}`;
    setText(this.toggle, `${this.open ? "▾" : "▸"} ${this.tag}: ${whole(sessions.length)} runs`);
    setText(this.status, `${about} · ${[...counts].map(([status, count]) => `${whole(count)} ${status}`).join(", ")}`);
  }

  #turn(onToggle) {
    this.open = !this.open;
    this.toggle.setAttribute("aria-expanded", String(this.open));
    onToggle();
  }
}
