// How the stream is doing: state, seq, how far behind; and doubles and holes, of which there are none.

import { byId, make } from "../common/dom.js";
import { whole } from "../common/format.js";

const DOTS = { live: "good", "catching up": "busy", connecting: "busy", reconnecting: "bad", "looking back": "busy", ended: "idle", closed: "idle" };
const ROWS = { state: "Connection", seq: "Seq", lag: "Lag", duplicates: "Duplicates", missed: "Missed", candles: "Candles kept" };
let cells = null;

/** Show the connection; `lag` is how many events of the log are not on the page yet. */
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
  const made = Object.fromEntries(Object.keys(ROWS).map((name) => [name, make("dd", { id: `stream-${name}`, class: name === "state" ? "dot" : null })]));
  byId("connection").replaceChildren(...Object.entries(ROWS).map(([name, word]) => make("div", {}, make("dt", {}, word), made[name])));
  return made;
}
