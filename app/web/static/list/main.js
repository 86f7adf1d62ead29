// The page of all sessions: the list, kept up to date, and the form for a new one.

import { get, post, SESSIONS, call } from "../common/api.js";
import { at } from "../common/root.js";
import { byId, setText } from "../common/dom.js";
import { whole } from "../common/format.js";
import { announce, attempt, clearProblem, showProblem } from "../common/notice.js";
import { startLogout } from "../common/logout.js";
import { startTheme } from "../common/theme.js";
import { folded, matching, ordered } from "./arrange.js";
import { openForm, startForm } from "./form.js";
import { startImport } from "./importing.js";
import { Row } from "./row.js";
import { SweepRow } from "./sweep_row.js";

const POLL_MS = 2000;
const PAGE = 50;
const MOST_COMPARED = 20;
const rows = new Map();
const sweeps = new Map();
let loaded = [];
let limit = PAGE;
let unreachable = false;

/** Read the sessions and update the table. */
async function refresh() {
  const { sessions, complete } = await read();
  loaded = sessions;
  const known = new Set(sessions.map((session) => session.id));
  for (const id of rows.keys()) if (!known.has(id)) rows.delete(id);
  arrange();
  byId("more").hidden = complete;
}

/** Put the rows that fit the filter into the table, in the chosen order. */
function arrange() {
  const order = byId("order").value;
  if (order === "result") loaded.forEach(rowOf);
  const fitting = ordered(matching(loaded, byId("filter").value), order, ({ id }) => rows.get(id)?.gainPct ?? null);
  const elements = folded(fitting).flatMap(elementsOf);
  const body = byId("rows");
  const kept = new Set(elements);
  for (const child of [...body.children]) if (!kept.has(child)) child.remove();
  elements.forEach((element, index) => body.children[index] !== element && body.insertBefore(element, body.children[index] ?? null));
  byId("sessions").hidden = elements.length === 0;
  byId("empty").hidden = elements.length > 0;
  setText(byId("empty-text"), emptyText());
  showChosen();
}

function rowOf(session) {
  if (!rows.has(session.id)) rows.set(session.id, new Row(act, showChosen));
  rows.get(session.id).update(session);
  return rows.get(session.id);
}

/** The rows of an entry: one, or the row of a sweep and, unfolded, those of its runs. */
function elementsOf({ session, sweep, sessions }) {
  if (session) return [rowOf(session).element];
  if (!sweeps.has(sweep)) sweeps.set(sweep, new SweepRow(sweep, { onToggle: arrange, compare }));
  const row = sweeps.get(sweep);
  row.update(sessions);
  return [row.element, ...(row.open ? sessions.map((run) => rowOf(run).element) : [])];
}

const chosen = () => loaded.map(({ id }) => id).filter((id) => rows.get(id)?.choose.checked);

function showChosen() {
  const { length } = chosen();
  byId("compare").disabled = length < 2 || length > MOST_COMPARED;
  setText(byId("compare"), length ? `Compare ${length}` : "Compare");
  byId("compare").title = length > MOST_COMPARED ? `At most ${MOST_COMPARED} sessions can be compared` : length < 2 ? "Select two or more sessions" : "";
}

const compare = (ids) => location.assign(at(`/compare?ids=${ids.join(",")}`));

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

function emptyText() {
  const status = byId("status").value;
  if (loaded.length) return "No session that is loaded fits the filter.";
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
byId("filter").addEventListener("input", arrange);
byId("order").addEventListener("change", arrange);
byId("compare").addEventListener("click", () => compare(chosen()));
byId("more").addEventListener("click", () => {
  limit += PAGE;
  attempt(refresh);
});
await poll();
