// Sends a file to the API as the body of a call.

import { get } from "../common/api.js";
import { at } from "../common/root.js";

const COVERAGE = "/api/market/coverage";

/** Send a file and return the answer; throws an error with the server's message and details. */
export async function upload(path, query, file) {
  const response = await send(`${path}?${new URLSearchParams(query)}`, file);
  if (response.status === 401) {
    await get(COVERAGE); // Asks for the login that is missing.
    return upload(path, query, file);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(answer.error ?? `The server answered ${response.status}.`), { details: answer.details });
  return answer;
}

/** A connection that ends while a file is sent may mean that the server takes no file of this size. */
async function send(address, file) {
  try {
    return await fetch(at(address), { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: file });
  } catch {
    await get(COVERAGE);
    throw new Error(`The file of ${Math.ceil(file.size / 1e6)} MB did not get through. Is it too large, or a folder? “zeon candles import” takes both.`);
  }
}
