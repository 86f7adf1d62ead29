// The address of this page: which event it points at, and the key of the share link that it was opened with.

import { share } from "../common/api.js";

/** The address of this page at an event; without a seq, of its end. */
export function pageAddress(seq) {
  const query = new URLSearchParams();
  if (seq) query.set("seq", seq);
  if (share) query.set("share", share);
  return query.size ? `?${query}` : location.pathname;
}
