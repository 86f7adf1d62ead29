// Tabs, as the ARIA pattern has them: arrows move between them, only the chosen one is in the order of the Tab key.

import { byId } from "../common/dom.js";

/** Connect the tabs of a `tablist`; each names its panel with `aria-controls`. `onChoose()` follows a choice. */
export function startTabs(list, onChoose) {
  const tabs = [...list.querySelectorAll("[role=tab]")];
  const choose = (tab) => {
    show(tabs, tab);
    onChoose();
  };
  for (const tab of tabs) tab.addEventListener("click", () => choose(tab));
  list.addEventListener("keydown", (press) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[press.key];
    if (!step) return;
    const shown = tabs.filter((tab) => !tab.hidden);
    const next = shown.at((shown.indexOf(press.target) + step) % shown.length);
    press.preventDefault();
    press.stopPropagation();
    choose(next);
    next.focus();
  });
}

function show(tabs, chosen) {
  for (const tab of tabs) {
    tab.setAttribute("aria-selected", String(tab === chosen));
    tab.tabIndex = tab === chosen ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
  }
}
