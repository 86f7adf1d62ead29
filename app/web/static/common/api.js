// Calls the public API with the client that scripts use too.

import { Client } from "../client.js";
import { loginSince } from "./login.js";
import { server } from "./root.js";
import { clearProblem, showProblem } from "./notice.js";

export { SESSIONS } from "../client.js";

/** The key of the share link that this page was opened with; null without one. */
export const share = new URLSearchParams(location.search).get("share");

/**
 * The client of this server. After a 401 the user logs in, unless that happened during the call, and the call is repeated.
 * With a share link there is no login.
 */
export const client = new Client(server, { share, onUnauthorized: share === null ? loginSince : null, onWait: showWait });

/** Show that a call waits, and for how long. */
function showWait(error) {
  showProblem({ message: `${error.message} The page tries again in ${error.retryAfterMs / 1000} s.` });
  setTimeout(clearProblem, error.retryAfterMs);
}

/** Make a call and return its data; without an answer, the error says what the page does next. */
export async function call(method, path, body) {
  try {
    return await client.call(method, path, body);
  } catch (error) {
    if (error.status === 0) error.message = "The server cannot be reached. Is it still running? The page keeps trying.";
    throw error;
  }
}

export const get = (path) => call("GET", path);
export const post = (path, body = {}) => call("POST", path, body);

let openapi = null;

/** Return the schemas of the OpenAPI document, which is read once. */
export async function schemas() {
  openapi ??= get("/openapi.json").catch((error) => {
    openapi = null;
    throw error;
  });
  return (await openapi).components.schemas;
}

/** Return the types of events that a log can hold. */
export async function eventTypes() {
  return (await schemas()).EventAnswer.properties.type.enum;
}
