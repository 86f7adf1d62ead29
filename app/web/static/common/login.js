// Asks for a token where the server wants one. The cookie it becomes is out of reach for scripts.

import { make } from "./dom.js";

let waiting = null;
let accepted = 0;

/** How many tokens were accepted so far: a call sent before the latest was refused for want of it. */
export const logins = () => accepted;

/** Resolve once a token was accepted; many callers share one dialog. */
export function login() {
  waiting ??= ask().finally(() => {
    waiting = null;
  });
  return waiting;
}

function ask() {
  const token = make("input", { type: "password", id: "token", autocomplete: "current-password", required: true });
  const problem = make("p", { role: "alert", class: "problem" });
  const form = make(
    "form",
    { method: "dialog", class: "stack" },
    make("h2", { id: "login-title" }, "Log in"),
    make("p", {}, "This server asks for a token. Make one with ", make("code", {}, "zeon token create"), "."),
    make("label", { for: "token" }, "Token"),
    token,
    problem,
    make("button", { class: "primary" }, "Log in"),
  );
  const dialog = make("dialog", { "aria-labelledby": "login-title", oncancel: (cancel) => cancel.preventDefault() }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    form.addEventListener("submit", async (submit) => {
      submit.preventDefault();
      problem.textContent = await refusal(token.value);
      if (problem.textContent) return;
      accepted += 1;
      dialog.remove();
      resolve();
    });
  });
}

/** Exchange the token for a cookie; returns what is wrong, or nothing. */
async function refusal(token) {
  const headers = { "Content-Type": "application/json" };
  try {
    const response = await fetch("/login", { method: "POST", headers, body: JSON.stringify({ token }) });
    return response.ok ? "" : (await response.json()).error;
  } catch {
    return "The server cannot be reached.";
  }
}
