// Light, dark, or the system's theme. Charts get their colors here, because a canvas does not use style sheets.

import { byId } from "./dom.js";

const KEY = "zeon-theme";
const CHOICES = ["system", "light", "dark"];
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();
const colors = new Map();

/** Apply the theme of the last visit; the button switches to the next one. */
export function startTheme() {
  const button = byId("theme");
  apply(localStorage.getItem(KEY) ?? CHOICES[0]);
  button.addEventListener("click", () => apply(CHOICES[(CHOICES.indexOf(currentChoice()) + 1) % CHOICES.length]));
  system.addEventListener("change", notifyListeners);
}

/** Call back whenever colors change. */
export const onTheme = (listener) => listeners.add(listener);

/** The color that a custom property has in the current theme. */
export function color(name) {
  if (!colors.has(name)) colors.set(name, computedColor(name));
  return colors.get(name);
}

function computedColor(name) {
  const probe = byId("theme");
  probe.style.setProperty("outline-color", `var(${name})`);
  const value = getComputedStyle(probe).outlineColor;
  probe.style.removeProperty("outline-color");
  return value;
}

const currentChoice = () => document.documentElement.dataset.theme ?? CHOICES[0];

function apply(choice) {
  if (choice === CHOICES[0]) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
  localStorage.setItem(KEY, choice);
  byId("theme").textContent = `Theme: ${choice}`;
  notifyListeners();
}

function notifyListeners() {
  colors.clear();
  for (const listener of listeners) listener();
}
