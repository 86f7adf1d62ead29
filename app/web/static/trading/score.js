// The score in the heading: result, trades won, largest drawdown. Whoever wants to trade without looking at it hides it.

import { byId, make, setText } from "../common/dom.js";
import { gain, percent } from "../common/format.js";

const KEY = "zeon-score-hidden";

/** Connect the button; the choice is kept for the next visit. */
export function startScore() {
  apply(localStorage.getItem(KEY) === "yes");
  byId("score-toggle").addEventListener("click", () => {
    const hidden = !document.body.classList.contains("without-score");
    localStorage.setItem(KEY, hidden ? "yes" : "no");
    apply(hidden);
  });
}

/** Hide or show everything that tells how well it goes. */
function apply(hidden) {
  document.body.classList.toggle("without-score", hidden);
  byId("score-toggle").setAttribute("aria-pressed", String(hidden));
  setText(byId("score-toggle"), hidden ? "Show score" : "Hide score");
}

/** Show the score: of the last equity event, and of the statistics, which may come a moment later. */
export function showScore(session, equity, stats) {
  if (!equity) return;
  const result = (100 * (equity.equity - session.initialCash)) / session.initialCash;
  const worst = Math.max(stats?.maxDrawdownPct ?? 0, equity.drawdownPct);
  const won = stats?.trades ? `${stats.wins} of ${stats.trades} won (${stats.winRatePct.toFixed(0)} %)` : "no trade yet";
  byId("score").hidden = false;
  byId("score-text").replaceChildren(make("span", {}, "Result ", gain(result, percent)), ` · ${won} · drawdown ${worst.toFixed(2)} %`);
}
