// What the page says when there is no session to show.

import { byId, make } from "../common/dom.js";

/** Say what is wrong and lead back to the list; the page goes no further, so this never resolves. */
export function missing(error) {
  const link = make("a", { href: "/" }, "Go to your sessions");
  byId("title").textContent = error.status === 404 ? "This session is not there" : "This session cannot be shown";
  byId("what").replaceChildren(error.status === 404 ? "It was deleted, or it belongs to somebody else. " : `${error.message} `, link, ".");
  document.body.classList.add("missing");
  return new Promise(() => {});
}
