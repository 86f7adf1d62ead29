// Calls the public API, the same that scripts use.

import { login, loginCount } from "./login.js";

export const SESSIONS = "/api/sim/sessions";

/** A call that failed: the API's sentence, the status (0 = no answer), and the API's code and details. */
export class ApiError extends Error {
  constructor(message, status, answer = {}) {
    super(message);
    this.status = status;
    this.code = answer.code;
    this.details = answer.details;
  }
}

/** Make a call and return its data. After a 401 the user logs in, unless that happened during the call, and the call is repeated. */
export async function call(method, path, body) {
  const before = loginCount();
  const response = await request(method, path, body);
  if (response.status === 401) {
    if (loginCount() === before) await login();
    return call(method, path, body);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(answer.error ?? `The server answered ${response.status}.`, response.status, answer);
  return "success" in answer ? answer.data : answer;
}

export const get = (path) => call("GET", path);
export const post = (path, body = {}) => call("POST", path, body);

async function request(method, path, body) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  try {
    return await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new ApiError("The server cannot be reached. Is it still running? The page keeps trying.", 0);
  }
}

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
