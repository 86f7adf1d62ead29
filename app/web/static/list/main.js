// The page of all sessions: the list, kept up to date, and the form for a new one.

import { get, post, SESSIONS, call } from "../common/api.js";
import { byId, say } from "../common/dom.js";
import { whole } from "../common/format.js";
import { announce, attempt, clear, problem } from "../common/notice.js";
import { startTheme } from "../common/theme.js";
import { openForm, startForm } from "./form.js";
import { startImport } from "./importing.js";
import { Row } from "./row.js";

const POLL_MS = 2000;
const PAGE = 50;
const rows = new Map();
let wanted = PAGE;
let unreachable = false;

/** Read the sessions and bring the table in line with them. */
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
  say(byId("empty-text"), emptyText());
}

async function read() {
  const sessions = [];
  let cursor = null;
  do {
    const query = new URLSearchParams({ limit: Math.min(200, wanted - sessions.length) });
    if (byId("status").value) query.set("status", byId("status").value);
    if (cursor) query.set("cursor", cursor);
    const page = await get(`${SESSIONS}?${query}`);
    sessions.push(...page.sessions);
    cursor = page.nextCursor;
  } while (cursor && sessions.length < wanted);
  return { sessions, complete: cursor === null };
}

/** Put a session where it belongs, in the row it may have already. */
function show(session, place) {
  if (!rows.has(session.id)) rows.set(session.id, new Row(act));
  const row = rows.get(session.id);
  row.update(session);
  const body = byId("rows");
  if (body.children[place] !== row.element) body.insertBefore(row.element, body.children[place] ?? null);
}

function emptyText() {
  const status = byId("status").value;
  if (status) return `No session is ${status}. Choose another status to see the others.`;
  return "There are no sessions yet. Make the first with “New session”; if the cache is empty, drop a file of candles on this page first.";
}

/** Do what a row's button asks for. */
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
  say(byId("confirm-text"), `“${what}” and its ${whole(session.lastSeq)} events will be gone for good.`);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "delete"), { once: true });
  });
}

async function keepUp() {
  try {
    if (!document.hidden) await refresh();
    if (unreachable) clear();
    unreachable = false;
  } catch (error) {
    unreachable = true;
    problem(error);
  }
  setTimeout(keepUp, POLL_MS);
}

startTheme();
startForm();
startImport((series) => attempt(() => openForm(series)));
byId("new").addEventListener("click", () => attempt(() => openForm()));
byId("status").addEventListener("change", () => attempt(refresh));
byId("more").addEventListener("click", () => {
  wanted += PAGE;
  attempt(refresh);
});
await keepUp();
