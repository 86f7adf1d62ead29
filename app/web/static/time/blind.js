// Blind mode: the page shows neither the symbol nor dates, so that nobody trades what he remembers.

import { hideIdentity } from "../common/display.js";
import { byId, setText } from "../common/dom.js";

const TAG = "blind";

const keyOf = (id) => `zeon-blind-${id}`;

/** Whether a session is blind: as this browser has chosen, also for the session that it was forked from; else by its tag. */
function isBlindSession({ id, parentId, tags }) {
  const choice = localStorage.getItem(keyOf(id)) ?? localStorage.getItem(keyOf(parentId));
  return choice === null ? tags.includes(TAG) : choice === "yes";
}

/** Hide symbol and dates of a blind session before anything is drawn; the button changes the choice and loads the page anew. */
export function startBlind(session) {
  const blind = isBlindSession(session);
  if (blind) hideIdentity(session);
  if (blind) localStorage.setItem(keyOf(session.id), "yes"); // A fork is another session, without its tags.
  setText(byId("blind"), blind ? "Reveal" : "Blind");
  byId("blind").title = blind ? "Show symbol and dates" : "Hide symbol and dates";
  document.body.classList.toggle("blind", blind);
  byId("blind").addEventListener("click", () => {
    localStorage.setItem(keyOf(session.id), blind ? "no" : "yes");
    location.reload();
  });
}
