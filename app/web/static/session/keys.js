// Keys of the page. They do nothing in a field or while a dialog is open.

import { byId, isTyping } from "../common/dom.js";

/** Elements that use a key themselves. */
const USED_BY = { " ": "button, a, summary", ArrowRight: "[type=radio]", Home: "[tabindex]", End: "[tabindex]" };

/** Connect the keys to the controls and the position in the log. */
export function startKeys(controls, position) {
  const keys = {
    " ": () => controls.play(),
    ArrowRight: () => controls.step(),
    Home: () => position.toStart(),
    End: () => position.toLive(),
    "/": () => byId("search").focus(),
    "?": () => byId("help").showModal(),
  };
  for (const number of [1, 2, 3, 4, 5]) keys[number] = () => controls.pace(number);
  document.addEventListener("keydown", (press) => {
    if (!(press.key in keys) || press.ctrlKey || press.metaKey || press.altKey) return;
    if (isTyping(press.target) || document.querySelector("dialog[open]")) return;
    if (press.target.matches(USED_BY[press.key] ?? ":not(*)")) return;
    press.preventDefault();
    if (!press.repeat || press.key === "ArrowRight") keys[press.key]();
  });
  byId("keys").addEventListener("click", () => byId("help").showModal());
}
