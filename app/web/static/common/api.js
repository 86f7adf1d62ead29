// Calls the public API with the client that scripts use too.

import { Client } from "../client.js";
import { loginSince } from "./login.js";

export { SESSIONS } from "../client.js";

/** A call without a login asks for one and is repeated. */
export const client = new Client(location.origin, { onUnauthorized: loginSince });

/** Make a call and return its data; when nobody answers, the error says what the page does about it. */
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

let described = null;

/** Return the API's own description, asked for once. */
export function description() {
  described ??= get("/openapi.json").catch((error) => {
    described = null;
    throw error;
  });
  return described;
}
