// Share links: create one and copy it, list those that are valid, and revoke them.

import { call, get, post, SESSIONS } from "../common/api.js";
import { byId, make, setText } from "../common/dom.js";
import { realTime } from "../common/format.js";

/** Connect the button "Share" with its dialog. */
export function startSharing(session) {
  const path = `${SESSIONS}/${session.id}/share`;
  byId("share").addEventListener("click", () => {
    byId("share-new").hidden = true;
    byId("sharing").showModal();
    attempt(() => showLinks(path));
  });
  byId("share-create").addEventListener("click", () => attempt(() => createLink(path)));
  byId("share-copy").addEventListener("click", copy);
}

async function createLink(path) {
  const { url } = await post(path, { expiresIn: byId("share-for").value });
  byId("share-url").value = url;
  byId("share-new").hidden = false;
  await copy();
  await showLinks(path);
}

/** Copy the new link where the browser allows it; otherwise select it for Ctrl-C. */
async function copy() {
  try {
    await navigator.clipboard.writeText(byId("share-url").value);
    setText(byId("share-copied"), "Copied. The link is not shown again.");
  } catch {
    byId("share-url").select();
    setText(byId("share-copied"), "Press Ctrl-C to copy. The link is not shown again.");
  }
}

async function showLinks(path) {
  const { links } = await get(path);
  byId("share-links").replaceChildren(...links.map((link) => entry(path, link)));
}

function entry(path, link) {
  const revoke = async () => {
    await call("DELETE", `${path}/${link.keyId}`);
    await showLinks(path);
  };
  const label = `Revoke the link of ${new Date(link.createdAtMs).toISOString()}`;
  const button = make("button", { type: "button", class: "quiet", "aria-label": label, onclick: () => attempt(revoke) }, "Revoke");
  const end = link.expiresAtMs === null ? [] : [", valid until ", realTime(roundToMinute(link.expiresAtMs))];
  return make("li", {}, ...(link.name ? [`${link.name}: `] : []), "created ", realTime(roundToMinute(link.createdAtMs)), ...end, " ", button);
}

const roundToMinute = (ms) => ms - (ms % 60_000);

/** Do what a user asked for; an error is shown in the dialog, which covers the page. */
async function attempt(work) {
  setText(byId("share-problem"), "");
  try {
    await work();
  } catch (error) {
    setText(byId("share-problem"), error.message);
  }
}
