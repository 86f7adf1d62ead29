// Asks for a token or JWT where the server needs one. The server turns it into a cookie that scripts cannot read.

import { Client } from "../client.js";
import { make } from "./dom.js";
import { showLogout } from "./logout.js";
import { server } from "./root.js";

let waiting = null;
let acceptedMs = -1;

/** Show the login dialog, one for all callers, unless a token was accepted after `sentMs`; resolves when one is. */
export async function loginSince(sentMs) {
  if (acceptedMs > sentMs) return;
  waiting ??= ask().finally(() => {
    waiting = null;
  });
  await waiting;
}

function ask() {
  const token = make("input", { type: "password", id: "token", autocomplete: "current-password", required: true });
  const problem = make("p", { role: "alert", class: "problem" });
  const form = make(
    "form",
    { method: "dialog", class: "stack" },
    make("h2", { id: "login-title" }, "Log in"),
    make("p", {}, "This server needs a token: one of ", make("code", {}, "zeon token create"), ", or a JWT where it accepts them."),
    make("label", { for: "token" }, "Token or JWT"),
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
      acceptedMs = performance.now();
      dialog.remove();
      showLogout();
      resolve();
    });
  });
}

/** Exchange the token for a cookie; returns the error message, or an empty text. */
async function loginError(token) {
  try {
    await new Client(server).login(token);
    return "";
  } catch (error) {
    return error.message;
  }
}
