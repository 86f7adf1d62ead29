// Calls the public API, the same one scripts use.

import { login, logins } from "./login.js";

export const SESSIONS = "/api/sim/sessions";

/** A call that failed: a sentence for people, the status (0 = nobody answered), and the API's code and details. */
export class CallFailed extends Error {
  constructor(message, status, answer = {}) {
    super(message);
    this.status = status;
    this.code = answer.code;
    this.details = answer.details;
  }
}

/** Make a call and return its data; a missing login is asked for, unless there was one since, and the call repeated. */
export async function call(method, path, body) {
  const before = logins();
  const response = await request(method, path, body);
  if (response.status === 401) {
    if (logins() === before) await login();
    return call(method, path, body);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new CallFailed(answer.error ?? `The server answered ${response.status}.`, response.status, answer);
  return "success" in answer ? answer.data : answer;
}

export const get = (path) => call("GET", path);
export const post = (path, body = {}) => call("POST", path, body);

async function request(method, path, body) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  try {
    return await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new CallFailed("The server cannot be reached. Is it still running? The page keeps trying.", 0);
  }
}

let described = null;

/** Return the API's own description, asked for once. */
export function description() {
  described ??= get("/openapi.json").catch((error) => {
    described = null;
    throw error;
  });
  return described;
}
