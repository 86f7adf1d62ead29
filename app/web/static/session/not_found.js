// The page when there is no session to show.

import { byId, make } from "../common/dom.js";
import { at } from "../common/root.js";

/** Show why, with a link to the list. The page ends here: the promise never resolves. */
export function showNotFound(error) {
  const link = make("a", { href: at("/") }, "Go to your sessions");
  byId("title").textContent = error.status === 404 ? "Session not found" : "This session cannot be shown";
  byId("what").replaceChildren(error.status === 404 ? "It was deleted, or it belongs to another user. " : `${error.message} `, link, ".");
  document.body.classList.add("not-found");
  return new Promise(() => {});
}
