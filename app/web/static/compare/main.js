// The page that compares sessions: their curves over each other, settings that differ, and figures side by side.

import { client } from "../common/api.js";
import { at } from "../common/root.js";
import { byId, make, setText } from "../common/dom.js";
import { attempt } from "../common/notice.js";
import { startTheme } from "../common/theme.js";
import { Curves, sample } from "./curves.js";
import { figureRows, settingText, tradeCell } from "./cells.js";

const POINTS = 600;

/** The name of a session, else the last digits of its id. */
const nameOf = ({ id, name }) => name ?? id.slice(-8);

const link = (session) => make("a", { href: at(`/sessions/${session.id}`) }, nameOf(session));

function table(id, sessions, rows) {
  const head = make("tr", {}, make("td", {}), ...sessions.map((session) => make("th", { scope: "col" }, link(session))));
  const lines = rows.map(([label, cells]) => make("tr", {}, make("th", { scope: "row" }, label), ...cells.map((cell) => make("td", {}, cell))));
  byId(id).replaceChildren(...(rows.length ? [make("thead", {}, head), make("tbody", {}, ...lines)] : []));
}

function show({ sessions, settings, figures, curves, tradesPart }) {
  byId("results").hidden = false;
  document.title = `${sessions.map(nameOf).join(", ")} · ZEON sim`;
  byId("legend").replaceChildren(...sessions.map((session, index) => make("li", {}, sample(index), link(session), make("span", { class: "hint" }, `${session.profileSlug}, ${session.status}`))));
  new Curves(byId("curves"), byId("at")).draw(sessions.map((session, index) => ({ name: nameOf(session), cash: session.initialCash, points: curves[index] })));
  const differing = Object.entries(settings);
  byId("settings-same").hidden = differing.length > 0;
  table("settings", sessions, differing.map(([name, values]) => [name, values.map((value) => settingText(name, value))]));
  table("figures", sessions, figureRows(figures));
  setText(byId("parting-text"), tradesPart ? `The first trade that not all sessions have is number ${tradesPart.number}.` : "All closed trades are the same.");
  table("parting", sessions, tradesPart ? [[`Trade ${tradesPart.number}`, tradesPart.trades.map((trade, index) => tradeCell(sessions[index], trade))]] : []);
}

startTheme();
const ids = (new URLSearchParams(location.search).get("ids") ?? "").split(",").filter(Boolean);
await attempt(async () => {
  if (ids.length < 2) throw new Error("Name at least two sessions: choose them in the list of sessions, then “Compare”.");
  show(await client.compare(ids, POINTS));
});
