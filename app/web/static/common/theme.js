// Light, dark, or as the system says; charts ask here for colors, because a canvas knows no style sheet.

import { byId } from "./dom.js";

const KEY = "zeon-theme";
const CHOICES = ["system", "light", "dark"];
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();
const colors = new Map();

/** Show the choice of the last visit, and let the button move on to the next. */
export function startTheme() {
  const button = byId("theme");
  apply(localStorage.getItem(KEY) ?? CHOICES[0]);
  button.addEventListener("click", () => apply(CHOICES[(CHOICES.indexOf(chosen()) + 1) % CHOICES.length]));
  system.addEventListener("change", tell);
}

/** Call back whenever colors change. */
export const onTheme = (listener) => listeners.add(listener);

/** The color a custom property stands for at the moment. */
export function color(name) {
  if (!colors.has(name)) colors.set(name, computed(name));
  return colors.get(name);
}

function computed(name) {
  const probe = byId("theme");
  probe.style.setProperty("outline-color", `var(${name})`);
  const found = getComputedStyle(probe).outlineColor;
  probe.style.removeProperty("outline-color");
  return found;
}

const chosen = () => document.documentElement.dataset.theme ?? CHOICES[0];

function apply(choice) {
  if (choice === CHOICES[0]) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
  localStorage.setItem(KEY, choice);
  byId("theme").textContent = `Theme: ${choice}`;
  tell();
}

function tell() {
  colors.clear();
  for (const listener of listeners) listener();
}
