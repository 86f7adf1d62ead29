// Asks for a token where the server needs one. The server turns it into a cookie that scripts cannot read.

import { make } from "./dom.js";

let waiting = null;
let accepted = 0;

/** How many logins succeeded so far. A call that was sent before the last one has to be repeated. */
export const loginCount = () => accepted;

/** Show the login dialog, one for all callers; resolves when the server has accepted a token. */
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
    make("p", {}, "This server needs a token. Create one with ", make("code", {}, "zeon token create"), "."),
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
      problem.textContent = await loginError(token.value);
      if (problem.textContent) return;
      accepted += 1;
      dialog.remove();
      resolve();
    });
  });
}

/** Exchange the token for a cookie; returns the error as a sentence, or an empty text. */
async function loginError(token) {
  const headers = { "Content-Type": "application/json" };
  try {
    const response = await fetch("/login", { method: "POST", headers, body: JSON.stringify({ token }) });
    return response.ok ? "" : (await response.json()).error;
  } catch {
    return "The server cannot be reached.";
  }
}
