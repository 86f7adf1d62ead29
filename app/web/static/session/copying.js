// Texts to copy: a heading, the text, and a button.

import { make } from "../common/dom.js";

/** An element with a text that a button copies. */
export function copyable(name, text) {
  const code = make("pre", { tabindex: 0, "aria-label": `${name} snippet` }, text);
  const button = make("button", { type: "button", "aria-label": `Copy the ${name} snippet`, onclick: () => copy(text, code, button) }, "Copy");
  return make("section", {}, make("div", { class: "row" }, make("h3", {}, name), make("span", { class: "push" }), button), code);
}

/** Copy where the browser allows it; otherwise select the text for Ctrl-C. */
async function copy(text, code, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(code);
    button.textContent = "Selected: press Ctrl-C";
  }
  setTimeout(() => (button.textContent = "Copy"), 2000);
}
