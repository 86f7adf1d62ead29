// The keyboard, wherever no field and no dialog has it.

import { byId, isTyping } from "../common/dom.js";

/** Where a key has a meaning of its own. */
const OWN = { " ": "button, a, summary", ArrowRight: "[type=radio]", Home: "[tabindex]", End: "[tabindex]" };

/** Connect keys to steering and view. */
export function startKeys(steering, view) {
  const keys = {
    " ": () => steering.play(),
    ArrowRight: () => steering.step(),
    Home: () => view.toStart(),
    End: () => view.toLive(),
    "/": () => byId("search").focus(),
    "?": () => byId("help").showModal(),
  };
  for (const number of [1, 2, 3, 4, 5]) keys[number] = () => steering.pace(number);
  document.addEventListener("keydown", (press) => {
    if (!(press.key in keys) || press.ctrlKey || press.metaKey || press.altKey) return;
    if (isTyping(press.target) || document.querySelector("dialog[open]")) return;
    if (press.target.matches(OWN[press.key] ?? ":not(*)")) return;
    press.preventDefault();
    if (!press.repeat || press.key === "ArrowRight") keys[press.key]();
  });
  byId("keys").addEventListener("click", () => byId("help").showModal());
}
