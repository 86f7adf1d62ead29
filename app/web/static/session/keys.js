// Keys of the page. They do nothing in a field or while a dialog is open.

import { byId, isTyping } from "../common/dom.js";

/** Elements that use a key themselves. */
const USED_BY = { " ": "button, a, summary", ArrowRight: "[type=radio], [type=range]", ArrowLeft: "[type=radio], [type=range]", Home: "[tabindex], [type=range]", End: "[tabindex], [type=range]" };
/** Keys that act again while they are held down. */
const REPEATED = ["ArrowRight", "ArrowLeft"];
const FAR = 10;

/** Connect the keys to the controls, the look back, the marks and the ticket. */
export function startKeys({ controls, position, lookBack, marks, trading }) {
  const keys = {
    " ": () => controls.play(),
    ArrowRight: (far) => (lookBack.isBack ? lookBack.forward(far ? FAR : 1) : controls.step()),
    ArrowLeft: (far) => lookBack.back(far ? FAR : 1),
    Home: () => position.toStart(),
    End: () => lookBack.now(),
    j: () => controls.jump(),
    n: () => marks.next(),
    p: () => marks.last(),
    b: () => trading.buy(),
    s: () => trading.sell(),
    f: () => trading.flatten(),
    "/": () => byId("search").focus(),
    "?": () => byId("help").showModal(),
  };
  for (const number of [1, 2, 3, 4, 5]) keys[number] = () => controls.pace(number);
  document.addEventListener("keydown", (press) => {
    const name = press.key.length === 1 ? press.key.toLowerCase() : press.key;
    if (!(name in keys) || press.ctrlKey || press.metaKey || press.altKey) return;
    if (isTyping(press.target) || document.querySelector("dialog[open]")) return;
    if (press.target.matches(USED_BY[name] ?? ":not(*)")) return;
    press.preventDefault();
    if (!press.repeat || REPEATED.includes(name)) keys[name](press.shiftKey);
  });
  byId("keys").addEventListener("click", () => byId("help").showModal());
}
