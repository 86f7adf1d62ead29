// The page of one session: puts the parts together and keeps them in line with the log.

import { get, SESSIONS } from "../common/api.js";
import { byId, make, option, say } from "../common/dom.js";
import { decimal, signed, time, utc, whole } from "../common/format.js";
import { announce, attempt, mention, problem } from "../common/notice.js";
import { startTheme } from "../common/theme.js";
import { showConnection } from "./connection.js";
import { Curve } from "./curve.js";
import { showPosition, Statistics } from "./sidebar.js";
import { Feed } from "./feed.js";
import { showHover, showLegend } from "./hover.js";
import { startKeys } from "./keys.js";
import { Log } from "./log.js";
import { missing } from "./not_found.js";
import { Prices } from "./prices.js";
import { keyOf } from "./series.js";
import { showSnippets } from "./snippets.js";
import { Steering } from "./controls.js";
import { View } from "./log_position.js";

const POLL_MS = 2000;
const RETRY_MS = 1000;
const AWAY_MS = 1500;
const OVER = ["stopped", "finished"];
const ENDED = [...OVER, "failed"];
const id = location.pathname.split("/").pop();

startTheme();
let shownError = null;
let hovering = false;
let session = await get(`${SESSIONS}/${id}`).catch(missing);
const feed = new Feed(`${SESSIONS}/${id}`, { onBatch: draw, onState: tell, onClosed: recover });
const prices = new Prices(session, { onOldest: () => extend("older"), onNewest: () => extend("newer"), onCrosshair: point });
const curve = new Curve(session);
const log = new Log(session, (event) => attempt(() => view.point(event)));
const view = new View(session, feed, { clear, draw, prices, log });
const steering = new Steering(session, { onSession: adopt, forkSeq: () => log.selected ?? feed.drawn });
const statistics = new Statistics(session);

introduce();
startKeys(steering, view);
adopt(session);
const polling = setInterval(poll, POLL_MS);
await Promise.all([view.open(), loadTrading()]).catch(problem);

/** Say who the page is about. */
function introduce() {
  const title = session.name ?? session.symbols.join(" ");
  document.title = `${title} · ZEON sim`;
  say(byId("title"), title);
  const range = session.endMs === null ? ["endless from ", time(session.startMs)] : [time(session.startMs), " to ", time(session.endMs)];
  byId("what").replaceChildren(`${session.symbols.join(" ")} · ${session.timeframe} · ${session.profileSlug} · ${session.venue} · `, ...range, ...origin(), ...session.tags.map((tag) => make("span", { class: "tag" }, tag)));
  const timeframes = [session.timeframe, ...session.extraTimeframes];
  byId("series").replaceChildren(...session.symbols.flatMap((symbol) => timeframes.map((each) => option(keyOf(symbol, each)))));
  byId("series").addEventListener("change", choose);
  byId("copy").addEventListener("click", () => showSnippets(session, log.selected ?? Math.max(1, feed.last - 19)).catch(problem));
}

/** Where a fork comes from. */
function origin() {
  return session.parentId ? [" · fork of ", make("a", { href: `/sessions/${session.parentId}?seq=${session.forkSeq}` }, `seq ${whole(session.forkSeq)} of another`)] : [];
}

function extend(side) {
  view[side]()?.then(() => hovering || showLast()).catch(problem);
}

/** Fills and trades lie further back than the tail, equity goes over the whole session. */
function loadTrading() {
  return session.profileSlug === "none" ? null : Promise.all([loadFills(), curve.load()]);
}

async function loadFills() {
  const { events } = await get(`${SESSIONS}/${id}/events?types=fill,trade&tail=1000`);
  prices.markers.add(events, prices.key, prices.bounds()?.[0]);
}

/** Draw a batch of events. */
function draw(events) {
  view.note(events);
  prices.add(events);
  log.add(events);
  if (!view.still) curve.add(events);
  if (!hovering) showLast();
  if (byId("prices-empty").hidden === false) describePrices();
  showPosition(session, log.latest("equity"));
  for (const { type, payload } of events.slice(-20)) {
    if (type === "trade") mention(`${payload.side} closed, ${signed(payload.netPnl)}`);
  }
  if (events.some(({ type }) => type === "status" || type === "control")) refresh();
  tell();
}

function choose() {
  prices.choose(byId("series").value);
  showLast();
  describePrices();
}

function showLast() {
  showLegend(prices.candles.of(prices.key).at(-1), prices.plots.values());
}

function clear() {
  prices.clear();
  log.clear();
}

/** Take over what a call answered. */
function adopt(next) {
  if (next.status !== session.status) announce(`The session is ${next.status}`);
  if (next.error && next.error !== shownError) problem({ message: next.error, details: next.errorDetails });
  shownError = next.error;
  session = next;
  byId("waiting").hidden = !next.waitingFor;
  say(byId("waiting"), next.waitingFor?.text ?? "");
  view.session = next;
  steering.show(next);
  if (feed.state === "ended" && !view.still && !ENDED.includes(next.status)) feed.open({ seen: feed.last, head: session.lastSeq });
  showPosition(next, log.latest("equity"));
  statistics.refresh(next, ENDED.includes(next.status)).catch(() => null);
  describePrices();
  tell();
}

async function refresh() {
  try {
    adopt(await get(`${SESSIONS}/${id}`));
  } catch (error) {
    if (error.status === 404) await gone(error);
    tell();
  }
}

/** The session was deleted while it was watched. */
function gone(error) {
  clearInterval(polling);
  feed.close();
  return missing(error);
}

function poll() {
  if (!document.hidden && (session.status === "running" || feed.state !== "ended")) refresh();
}

/** The browser gave up on the stream: the log is over, or somebody has to ask again. */
async function recover() {
  await refresh();
  if (view.still) return;
  if (ENDED.includes(session.status) && feed.last >= session.lastSeq) feed.end();
  else setTimeout(() => feed.state === "reconnecting" && !view.still && feed.open({ seen: feed.last, head: session.lastSeq }), RETRY_MS);
}

function tell() {
  const { drawn, duplicates, missed } = feed;
  const lag = Math.max(0, session.lastSeq - drawn);
  tellConnection();
  showConnection({ state: view.still ? "looking back" : feed.state, seq: drawn, lag: view.still ? 0 : lag, duplicates, missed, candles: prices.candles.count });
}

/** Say beside the title that the stream has been away for a while, and that it is back. */
function tellConnection() {
  const away = feed.state === "reconnecting" && performance.now() - feed.since > AWAY_MS;
  if (away === !byId("away").hidden) return;
  byId("away").hidden = !away;
  announce(away ? "The connection is lost; the page keeps trying." : "Connected again.");
}

/** Tell what is under the pointer; without one, what came last. */
function point(bar, moved) {
  hovering = bar !== undefined;
  if (hovering) showLegend(bar, prices.plots.values(moved));
  else showLast();
  showHover(moved.hoveredObjectId ? prices.markers.find(moved.hoveredObjectId) : null, moved.point);
}

/** A chart is a picture: say what it shows to those who do not see it. */
function describePrices() {
  const bars = prices.candles.of(prices.key);
  const last = bars.at(-1);
  const text = last ? `${whole(bars.length)} candles of ${prices.key} with ${prices.markers.count} fills; the last closed at ${decimal(last.close)}, ${utc(last.time * 1000)} UTC` : "No candle yet";
  byId("prices").setAttribute("aria-label", text);
  byId("prices-empty").hidden = last !== undefined;
  say(byId("prices-empty"), OVER.includes(session.status) ? "The session ended before its first candle." : "No candle yet. Press Play, or Step for the first one.");
}
