// Blind mode: the page shows neither the symbol nor dates, so that nobody trades what he remembers.

import { hideIdentity } from "../common/display.js";
import { byId, setText } from "../common/dom.js";

const TAG = "blind";

const keyOf = ({ id }) => `zeon-blind-${id}`;

/** Whether a session is blind: by its tag, unless this browser has chosen otherwise. */
export function isBlindSession(session) {
  const choice = localStorage.getItem(keyOf(session));
  return choice === null ? session.tags.includes(TAG) : choice === "yes";
}

/** Hide symbol and dates of a blind session before anything is drawn; the button changes the choice and loads the page anew. */
export function startBlind(session) {
  const blind = isBlindSession(session);
  if (blind) hideIdentity(session);
  setText(byId("blind"), blind ? "Reveal" : "Blind");
  byId("blind").title = blind ? "Show symbol and dates" : "Hide symbol and dates";
  document.body.classList.toggle("blind", blind);
  byId("blind").addEventListener("click", () => {
    localStorage.setItem(keyOf(session), blind ? "no" : "yes");
    location.reload();
  });
}
