// The page of all sessions: the list, kept up to date, and the form for a new one.

import { get, post, SESSIONS, call } from "../common/api.js";
import { byId, setText } from "../common/dom.js";
import { whole } from "../common/format.js";
import { announce, attempt, clearProblem, showProblem } from "../common/notice.js";
import { startLogout } from "../common/logout.js";
import { startTheme } from "../common/theme.js";
import { openForm, startForm } from "./form.js";
import { startImport } from "./importing.js";
import { Row } from "./row.js";

const POLL_MS = 2000;
const PAGE = 50;
const rows = new Map();
let limit = PAGE;
let unreachable = false;

/** Read the sessions and update the table. */
async function refresh() {
  const { sessions, complete } = await read();
  const known = new Set(sessions.map((session) => session.id));
  for (const [id, row] of rows) {
    if (known.has(id)) continue;
    row.element.remove();
    rows.delete(id);
  }
  sessions.forEach(show);
  byId("sessions").hidden = sessions.length === 0;
  byId("empty").hidden = sessions.length > 0;
  byId("more").hidden = complete;
  setText(byId("empty-text"), emptyText());
}

async function read() {
  const sessions = [];
  let cursor = null;
  do {
    const query = new URLSearchParams({ limit: Math.min(200, limit - sessions.length) });
    if (byId("status").value) query.set("status", byId("status").value);
    if (cursor) query.set("cursor", cursor);
    const page = await get(`${SESSIONS}?${query}`);
    sessions.push(...page.sessions);
    cursor = page.nextCursor;
  } while (cursor && sessions.length < limit);
  return { sessions, complete: cursor === null };
}

/** Show a session at its place in the list, in the row that it may have already. */
function show(session, index) {
  if (!rows.has(session.id)) rows.set(session.id, new Row(act));
  const row = rows.get(session.id);
  row.update(session);
  const body = byId("rows");
  if (body.children[index] !== row.element) body.insertBefore(row.element, body.children[index] ?? null);
}

function emptyText() {
  const status = byId("status").value;
  if (status) return `No session is ${status}. Choose another status to see the others.`;
  return "There are no sessions yet. Create one with “New session”. If no candles are cached, drop a file of candles on this page.";
}

/** Do the action of a row's button. */
async function act(action, session) {
  await attempt(async () => {
    if (action === "delete") {
      if (!(await confirmed(session))) return;
      await call("DELETE", `${SESSIONS}/${session.id}`);
      announce("The session was deleted.");
    } else {
      await post(`${SESSIONS}/${session.id}/${action}`);
    }
    await refresh();
  });
}

function confirmed(session) {
  const dialog = byId("confirm");
  const what = session.name ?? session.symbols.join(" ");
  setText(byId("confirm-text"), `“${what}” and its ${whole(session.lastSeq)} events will be deleted. This cannot be undone.`);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "delete"), { once: true });
  });
}

async function poll() {
  try {
    if (!document.hidden) await refresh();
    if (unreachable) clearProblem();
    unreachable = false;
  } catch (error) {
    unreachable = true;
    showProblem(error);
  }
  setTimeout(poll, POLL_MS);
}

startTheme();
startLogout();
startForm();
startImport((series) => attempt(() => openForm(series)));
byId("new").addEventListener("click", () => attempt(() => openForm()));
byId("status").addEventListener("change", () => attempt(refresh));
byId("more").addEventListener("click", () => {
  limit += PAGE;
  attempt(refresh);
});
await poll();
