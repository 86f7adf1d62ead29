// The button "Log out". Scripts cannot read the cookie of a login, but one beside it that says what the login may do.

import { Client } from "../client.js";
import { byId } from "./dom.js";
import { attempt } from "./notice.js";
import { server } from "./root.js";

/** Show the button while this browser is logged in; a click ends the login and asks for the next one. */
export function startLogout() {
  showLogout();
  byId("logout").addEventListener("click", () => attempt(logout));
}

/** Show the button if there is a login now. */
export function showLogout() {
  byId("logout").hidden = !scope();
}

/** Whether the login of this browser may only read. */
export const readsOnly = () => scope() === "read";

/** `trade` or `read`; nothing without a login. */
const scope = () => document.cookie.match(/(?:^|; )zeon_login=(\w+)/)?.[1];

async function logout() {
  await new Client(server).logout();
  location.reload();
}
