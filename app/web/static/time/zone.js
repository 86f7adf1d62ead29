// The choice of the time zone.

import { chooseZone, currentZone, isBlind, onZone, startZone, zoneName } from "../common/display.js";
import { byId, option, setText } from "../common/dom.js";

/** Connect the choice; in blind mode there is none, because the local time shows the season. */
export function startZoneChoice() {
  startZone();
  const local = Intl.DateTimeFormat().resolvedOptions().timeZone;
  byId("zone").replaceChildren(option("utc", "UTC"), option("local", `Local: ${local}`));
  byId("zone").value = currentZone();
  byId("zone-choice").hidden = isBlind();
  byId("zone").addEventListener("change", () => chooseZone(byId("zone").value));
  onZone(showZone);
  showZone();
}

function showZone() {
  for (const element of document.querySelectorAll("[data-zone]")) setText(element, zoneName());
  byId("until-time").setAttribute("aria-label", `Time (${zoneName()})`);
}
