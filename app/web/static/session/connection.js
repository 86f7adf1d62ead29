// The state of the stream: connection, seq, lag. Duplicates and missed events are always 0.

import { byId, make } from "../common/dom.js";
import { whole } from "../common/format.js";

const DOTS = { live: "good", "catching up": "busy", connecting: "busy", reconnecting: "bad", "looking back": "busy", ended: "idle", closed: "idle" };
const ROWS = { state: "Connection", seq: "Seq", lag: "Lag", duplicates: "Duplicates", missed: "Missed", candles: "Candles loaded" };
let cells = null;

/** Show the state; `lag` is the number of events in the log that are not drawn yet. */
export function showConnection({ state, seq, lag, duplicates, missed, candles }) {
  cells ??= build();
  if (cells.state.textContent !== state) {
    cells.state.textContent = state;
    cells.state.dataset.dot = DOTS[state];
  }
  cells.seq.textContent = whole(seq);
  cells.lag.textContent = lag === 1 ? "1 event" : `${whole(lag)} events`;
  cells.duplicates.textContent = whole(duplicates);
  cells.missed.textContent = whole(missed);
  cells.candles.textContent = whole(candles);
}

function build() {
  const cells = Object.fromEntries(Object.keys(ROWS).map((name) => [name, make("dd", { id: `stream-${name}`, class: name === "state" ? "dot" : null })]));
  byId("connection").replaceChildren(...Object.entries(ROWS).map(([name, label]) => make("div", {}, make("dt", {}, label), cells[name])));
  return cells;
}
