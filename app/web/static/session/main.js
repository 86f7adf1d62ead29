// The page of one session: creates the parts and passes events and changes of the session to them.

import { eventTypes, get, SESSIONS, share } from "../common/api.js";
import { at } from "../common/root.js";
import { byId, make, option, setText } from "../common/dom.js";
import { masked, onZone, symbolText, timeText, zoneName, isBlind } from "../common/display.js";
import { readable, signed, time, whole } from "../common/format.js";
import { priceText } from "../common/prices.js";
import { announce, attempt, announceUnlessRecent, showProblem } from "../common/notice.js";
import { readsOnly, startLogout } from "../common/logout.js";
import { startTheme } from "../common/theme.js";
import { showConnection } from "./connection.js";
import { Curve } from "../chart/curve.js";
import { showPosition, Statistics } from "./sidebar.js";
import { Feed } from "./feed.js";
import { showHover, showLegend } from "./hover.js";
import { startKeys } from "./keys.js";
import { Log } from "./log.js";
import { showNotFound } from "./not_found.js";
import { IndicatorLines } from "../chart/indicator_lines.js";
import { Prices } from "../chart/prices.js";
import { SecondPane } from "../chart/second.js";
import { keyOf } from "../chart/series.js";
import { showSnippets } from "./snippets.js";
import { Controls, PACES } from "./controls.js";
import { LogPosition } from "./log_position.js";
import { startBots } from "./bots.js";
import { startSharing } from "./sharing.js";
import { startTabs } from "./tabs.js";
import { startBlind } from "../time/blind.js";
import { showClock } from "../time/header_clock.js";
import { LookBack } from "../time/look_back.js";
import { Marks } from "../time/marks.js";
import { startZoneChoice } from "../time/zone.js";
import { showScore } from "../trading/score.js";
import { Trading } from "../trading/trading.js";

const POLL_MS = 2000;
const RETRY_MS = 1000;
const AWAY_MS = 1500;
const STOPPED = ["stopped", "finished"];
const ENDED = [...STOPPED, "failed"];
const id = location.pathname.split("/").pop();
const WITHOUT_CONTROLS = { play() {}, step() {}, pace() {}, jump() {} };

startTheme();
startLogout();
document.body.classList.toggle("shared", share !== null);
let shownError = null;
let hovering = false;
const keys = [];
let [session, types] = await Promise.all([get(`${SESSIONS}/${id}`), eventTypes()]).catch(showNotFound);
const readOnly = share !== null || readsOnly();
document.body.classList.toggle("read-only", readOnly);
startBlind(session);
startZoneChoice();
startTabs(document.querySelector("[role=tablist]"), () => trading.drawTables());
const feed = new Feed(id, { onBatch: draw, onState: showState, onClosed: recover, onShorter: readAgain });
const prices = new Prices(session, { onOldest: () => extend("loadOlder"), onNewest: () => extend("loadNewer"), onCrosshair: showPointed });
const indicators = new IndicatorLines(prices, () => showLast());
const curve = new Curve(session);
const log = new Log(session, types, (event) => attempt(() => choose(event)));
const position = new LogPosition(session, feed, { clear, draw, prices, log, onSwitch: () => showTime() });
const lookBack = new LookBack(session, prices, position, showTime);
const marks = new Marks(session, { newest: () => feed.drawn, show: showEvent });
const trading = new Trading(session, { prices, readOnly, isLookingBack: () => lookBack.isBack, onTrade: (event) => attempt(() => showEvent(event)) });
new SecondPane(session, prices, () => extend("loadOlder"));
const controls = new Controls(session, { onSession: update, forkSeq: () => log.selected ?? feed.drawn });
const statistics = new Statistics(session);

showTitle();
startKeys({ controls: readOnly ? WITHOUT_CONTROLS : controls, position, lookBack, marks, trading });
startSharing(session);
startBots(session);
onZone(showTimesAgain);
prices.onCandles(showClockOfChart);
indicators.start();
update(session);
const polling = setInterval(poll, POLL_MS);
await Promise.all([position.open(), loadTrading()]).catch(showProblem);

/** Show the session's title and settings. */
function showTitle() {
  const symbols = session.symbols.map(symbolText).join(" ");
  const title = isBlind() ? "Blind session" : (session.name ?? symbols);
  document.title = `${title} · ZEON sim`;
  setText(byId("title"), title);
  byId("series").addEventListener("change", chooseSeries);
  byId("copy").addEventListener("click", () => showSnippets(session, log.selected ?? Math.max(1, feed.last - 19)).catch(showProblem));
  const timeframes = [session.timeframe, ...session.extraTimeframes];
  keys.push(...session.symbols.flatMap((symbol) => timeframes.map((each) => keyOf(symbol, each))));
  byId("series").replaceChildren(...keys.map((key, index) => option(index, masked(key))));
  showSettings();
}

function showSettings() {
  const symbols = session.symbols.map(symbolText).join(" ");
  const venue = isBlind() ? [] : [`${session.venue} · `];
  const tags = isBlind() ? ["blind"] : session.tags;
  const range = session.endMs === null ? ["endless from ", time(session.startMs)] : [time(session.startMs), " to ", time(session.endMs)];
  byId("what").replaceChildren(`${symbols} · ${session.timeframe} · ${session.profileSlug} · `, ...venue, ...range, ...origin(), ...tags.map((tag) => make("span", { class: "tag" }, tag)));
}

/** Write every time on the page in the zone that was chosen. */
function showTimesAgain() {
  showSettings();
  log.redraw();
  showLast();
  showTime();
  describePrices();
}

/** A link to the session that this one was forked from. */
function origin() {
  if (!session.parentId) return [];
  const place = `seq ${whole(session.forkSeq)} of another`;
  return [" · fork of ", share ? place : make("a", { href: at(`/sessions/${session.parentId}?seq=${session.forkSeq}`) }, place)];
}

function extend(method) {
  position[method]()?.then(() => hovering || showLast()).catch(showProblem);
}

/** Read the last fills and trades, which may be further back than the tail, and the whole equity curve. */
function loadTrading() {
  return session.profileSlug === "none" ? null : Promise.all([loadFills(), curve.load(), trading.load()]);
}

async function loadFills() {
  const { events } = await get(`${SESSIONS}/${id}/events?types=fill,trade&tail=1000`);
  prices.markers.add(events, prices.key, prices.bounds()?.[0], prices.until);
}

/** Draw a batch of events. */
function draw(events) {
  position.track(events);
  prices.add(events);
  log.add(events);
  trading.add(events);
  if (!position.lookingBack) curve.add(events);
  if (!hovering) showLast();
  if (byId("prices-empty").hidden === false) describePrices();
  showMoney();
  for (const { type, payload } of events.slice(-20)) {
    if (type === "trade") announceUnlessRecent(`${payload.side} closed, ${signed(payload.netPnl)}`);
  }
  if (events.some(({ type }) => type === "status" || type === "control")) refresh();
  showState();
}

/** Show an event that was chosen in the table. */
function choose(event) {
  marks.startAt(event.seq);
  return position.goTo(event);
}

/** Show an event that was found, and its payload. While looking back, the chart ends at the event's candle. */
async function showEvent(event) {
  const back = lookBack.isBack && prices.until !== Infinity;
  log.select(event);
  if (back) await lookBack.goTo(event.payload.candle?.openTimeMs ?? event.ts);
  await choose(event);
}

/** Update what depends on the time shown: the slider, the heading, and what is drawn of trades. */
function showTime() {
  lookBack.show(session);
  trading.draw();
  showClockOfChart();
  if (!hovering) showLast();
}

function showClockOfChart() {
  const last = prices.base().at(-1);
  showClock(session, last ? last.time * 1000 : null, lookBack.isBack, PACES);
}

function showMoney() {
  const equity = log.latest("equity");
  showPosition(session, equity);
  showScore(session, equity?.payload, statistics.figures);
}

function chooseSeries() {
  prices.choose(keys[Number(byId("series").value)]);
  showLast();
  showTime();
  describePrices();
}

function showLast() {
  showLegend(prices.symbol, prices.shown().at(-1), [...prices.plots.values(), ...indicators.values()]);
}

function clear() {
  prices.clear();
  log.clear();
}

/** Show the session as a call returned it. */
function update(next) {
  if (next.status !== session.status) announce(`The session is ${next.status}`);
  if (next.error && next.error !== shownError) showProblem({ message: next.error, details: next.errorDetails });
  shownError = next.error;
  session = next;
  byId("waiting").hidden = !next.waitingFor;
  setText(byId("waiting"), readable(next.waitingFor?.text ?? ""));
  position.session = next;
  controls.show(next);
  if (feed.state === "ended" && !position.lookingBack && !ENDED.includes(next.status)) feed.open({ seen: feed.last });
  lookBack.show(next);
  trading.show(next);
  showClockOfChart();
  showMoney();
  statistics.refresh(next, ENDED.includes(next.status)).then(showMoney);
  describePrices();
  showState();
}

async function refresh() {
  try {
    update(await get(`${SESSIONS}/${id}`));
  } catch (error) {
    if (error.status === 404 || (share && error.status === 401)) await stopForGood(error);
    showState();
  }
}

/** The session was deleted, or the share link ended, while the page was open. */
function stopForGood(error) {
  clearInterval(polling);
  feed.close();
  return showNotFound(error);
}

function poll() {
  if (!document.hidden && (session.status === "running" || feed.state !== "ended")) refresh();
}

/** The stream is over: the log has ended, or the stream has to be opened again. */
async function recover() {
  await refresh();
  if (position.lookingBack) return;
  if (ENDED.includes(session.status) && feed.last >= session.lastSeq) feed.end();
  else setTimeout(() => feed.state === "reconnecting" && !position.lookingBack && feed.open({ seen: feed.last }), RETRY_MS);
}

/** The log has lost events that are on the screen: show its end as it is now. */
async function readAgain(error) {
  await refresh();
  position.toLive(true);
  showProblem({ message: `${error.message} The database was replaced by an older copy; the page shows the log as it is now.` });
}

function showState() {
  const { drawn, duplicates, missed } = feed;
  const lag = Math.max(0, session.lastSeq - drawn);
  showConnectionLoss();
  showConnection({ state: position.lookingBack ? "looking back" : feed.state, seq: drawn, lag: position.lookingBack ? 0 : lag, duplicates, missed, candles: prices.candles.count });
}

/** Show beside the title that the connection has been lost for a while, and announce when it is back. */
function showConnectionLoss() {
  const away = feed.state === "reconnecting" && performance.now() - feed.since > AWAY_MS;
  if (away === !byId("away").hidden) return;
  byId("away").hidden = !away;
  announce(away ? "The connection is lost; the page tries again." : "Connected again.");
}

/** Show what is under the pointer; without a pointer, the last candle. */
function showPointed(bar, moved) {
  hovering = bar !== undefined;
  if (hovering) showLegend(prices.symbol, bar, [...prices.plots.values(moved), ...indicators.values(moved)]);
  else showLast();
  showHover(moved.hoveredObjectId ? prices.markers.find(moved.hoveredObjectId) : null, moved.point);
}

/** Describe the chart for screen readers. */
function describePrices() {
  const bars = prices.shown();
  const last = bars.at(-1);
  const text = last ? `${whole(bars.length)} candles of ${masked(prices.key)} with ${prices.markers.count} fills; the last closed at ${priceText(prices.symbol, last.close)}, ${timeText(last.time * 1000)} ${zoneName()}` : "No candle yet";
  byId("prices").setAttribute("aria-label", text);
  byId("prices-empty").hidden = last !== undefined;
  setText(byId("prices-empty"), whyEmpty());
}

/** Why no candle is drawn. */
function whyEmpty() {
  if (feed.drawn < session.lastSeq) return "Loading …";
  if (STOPPED.includes(session.status)) return "The session ended before its first candle.";
  return readOnly ? "No candle yet." : "No candle yet. Press Play, or Step for the first one.";
}
