// Imports a file of candles: shows what was recognised and what is missing before anything is stored.

import { schemas } from "../common/api.js";
import { byId, fillPairs, make, option, setText } from "../common/dom.js";
import { timeframeMs, utc, whole } from "../common/format.js";
import { announce } from "../common/notice.js";
import { drawRanges, nameGaps } from "./coverage.js";
import { startDrop } from "./drop.js";
import { upload } from "./upload.js";

const IMPORT = "/api/market/import";
const SERIES = ["symbol", "timeframe", "venue"];
const READING = ["timeZone", "stamp", "dates", "decimal", "only", "columns"];
const OPTIONS = { "time-zone": "Time zone", stamp: "Stamp", dates: "Dates", decimal: "Decimal", only: "Only the instrument", columns: "Columns", "keep-going": "Keep going", symbol: "Symbol", timeframe: "Timeframe" };
const SHOWN = 3;

let file = null;
let report = null;
let looks = 0;
let makeSession = null;
const typed = new Set();
const field = (name) => byId(`import-${name}`);

/** Connect button, dialog and drops; `onSession` gets the series for which the user wants a session. */
export function startImport(onSession) {
  makeSession = onSession;
  startDrop(open, (sentence) => open(null, sentence));
  byId("import").addEventListener("click", () => open(null));
  byId("import-close").addEventListener("click", () => byId("importing").close());
  byId("import-file").addEventListener("change", () => choose(byId("import-file").files[0] ?? null));
  for (const name of [...SERIES, ...READING, "keepGoing"]) {
    field(name).addEventListener("change", () => {
      typed.add(name);
      look();
    });
  }
  byId("import-form").addEventListener("submit", submit);
}

/** Show the dialog with a file, or with the question for one. */
function open(dropped, sentence = "") {
  byId("import-form").reset();
  if (!byId("importing").open) byId("importing").showModal();
  byId("import-file").files = fileList(dropped);
  choose(dropped);
  ask(sentence);
}

/** What a file field holds after a file was dropped rather than chosen. */
function fileList(dropped) {
  const list = new DataTransfer();
  if (dropped) list.items.add(dropped);
  return list.files;
}

function choose(chosen) {
  file = chosen;
  typed.clear();
  for (const name of [...SERIES, ...READING]) field(name).value = "";
  byId("import-found").hidden = true;
  ask("");
  showStatus("");
  look();
}

/** Let the server read the file as the fields say, and show what it would store. */
async function look() {
  const look = ++looks;
  report = null;
  ready(false);
  if (!file) return;
  showStatus(`Reading ${file.name} …`);
  try {
    await timeframes();
    const inspection = await upload(IMPORT, { ...query(), dryRun: true }, file);
    if (look === looks) show(inspection);
  } catch (error) {
    if (look !== looks) return;
    showStatus("");
    ask(error.message);
  }
}

async function timeframes() {
  if (field("timeframe").options.length) return;
  const { NewSession } = await schemas();
  field("timeframe").replaceChildren(option("", "which?"), ...NewSession.properties.timeframe.enum.map((name) => option(name)));
}

/** The values of the fields; of the series only those the user typed, so that the server reads the rest from the file. */
function query() {
  const given = [...SERIES.filter((name) => typed.has(name) || report), ...READING].map((name) => [name, field(name).value.trim()]);
  return { file: file.name, keepGoing: field("keepGoing").checked, ...Object.fromEntries(given.filter(([, value]) => value)) };
}

function show(inspection) {
  for (const name of SERIES) if (!typed.has(name)) field(name).value = inspection[name] ?? "";
  byId("import-found").hidden = false;
  fillPairs(byId("import-facts"), facts(inspection));
  bar(inspection);
  byId("import-rows").replaceChildren(...inspection.readings.filter(({ first }) => first.length).map((reading) => rows(reading, inspection.readings.length > 1)));
  const question = field("keepGoing").checked && inspection.question?.includes("--keep-going") ? null : inspection.question;
  byId("import-reading").open ||= question !== null && inspection.readings.length < 2 && !/^(symbol|timeframe):/.test(question);
  ask(question ?? "");
  showStatus(question ? "" : `Ready to store ${whole(inspection.rows - inspection.refused)} candles.`);
  ready(!question);
}

function facts(inspection) {
  const range = inspection.firstMs === null ? [] : [["From", utc(inspection.firstMs)], ["To", utc(inspection.lastMs)], ["Missing", missing(inspection)]];
  const refused = inspection.refusals.slice(0, SHOWN).map(({ line, reason }) => `line ${line}: ${reason}`);
  return [
    ["File", `${inspection.file}${inspection.kind ? `, ${inspection.kind}` : ""}`],
    ["Rows", `${whole(inspection.rows)}${inspection.refused ? `, ${whole(inspection.refused)} refused` : ""}`],
    ...range,
    ...(refused.length ? [["Refused", refused.join("; ") + (inspection.refused > refused.length ? " …" : "")]] : []),
    ...inspection.notes.map(({ text }, index) => [index ? "" : "Assumed", worded(text)]),
  ];
}

function missing({ missing: count, gaps }) {
  if (!count) return "none";
  return `${whole(count)} in ${gaps.length >= 100 ? "at least 100 gaps" : gaps.length === 1 ? "1 gap" : `${gaps.length} gaps`}: ${nameGaps(gaps)}`;
}

function bar({ firstMs, lastMs, timeframe, gaps }) {
  if (firstMs === null || !timeframe) byId("import-bar").replaceChildren();
  else drawRanges(byId("import-bar"), [[firstMs, lastMs + timeframeMs(timeframe), "cached"], ...gaps.map((gap) => [gap.fromMs, gap.toMs, "missing"])]);
}

/** The first and last rows as they would be stored; where there is a doubt, with a button that chooses this reading. */
function rows({ options, first, last }, doubtful) {
  const cells = ({ openTimeMs, open, high, low, close, volume }) => [utc(openTimeMs), open, high, low, close, volume].map((text) => make("td", {}, text));
  const later = last.filter(({ line }) => line > first.at(-1).line);
  const body = [...first.map((line) => make("tr", {}, ...cells(line))), ...later.map((line, index) => make("tr", { class: index ? "" : "later" }, ...cells(line)))];
  const heads = ["Opens (UTC)", "Open", "High", "Low", "Close", "Volume"].map((text) => make("th", { scope: "col" }, text));
  const table = make("table", { "aria-label": "First and last rows" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...body));
  const button = doubtful ? make("button", { type: "button", onclick: () => answer(options) }, `Read it so: ${chosen(options).text}`) : null;
  return make("div", { class: "stack" }, button, make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Rows of the file" }, table));
}

/** The field and value of a reading's option, such as `--dates dmy`, and what the page calls it. */
function chosen(options) {
  const [, name, value] = options.match(/^--(\S+) (.*)$/);
  const element = field(name === "time-zone" ? "timeZone" : name);
  const text = [...(element.options ?? [])].find((each) => each.value === value)?.textContent ?? value;
  return { element, value, text };
}

/** Take a reading's option into its field. */
function answer(options) {
  const { element, value } = chosen(options);
  element.value = value;
  look();
}

/** Options of the command line, and the names of the same fields on this page. */
const worded = (sentence) => sentence.replace(/--([a-z-]+)/g, (whole, name) => (OPTIONS[name] ? `“${OPTIONS[name]}”` : whole));

async function submit(event) {
  event.preventDefault();
  const wantsSession = event.submitter?.value === "session";
  ready(false);
  try {
    report ??= await store();
    if (wantsSession) {
      byId("importing").close();
      makeSession(report);
      return;
    }
    stored();
  } catch (error) {
    showStatus("");
    ask(error.message);
  }
}

function store() {
  showStatus(`Storing ${file.name} …`);
  for (const name of SERIES) typed.add(name);
  return upload(IMPORT, query(), file);
}

/** Show the result of the import, and offer a session of it. */
function stored() {
  const { symbol, timeframe, venue, changed, same } = report;
  const text = `Stored: ${whole(report.new)} new candles of ${symbol} ${timeframe} at ${venue}, ${whole(changed)} changed, ${whole(same)} as before.${report.broke ? ` The file broke off: ${report.broke}.` : ""}`;
  showStatus(text);
  announce(text);
  byId("import-session").disabled = false;
  setText(byId("import-session"), "Make a session of it");
  byId("import-session").focus();
}

function ready(is) {
  byId("import-store").disabled = !is;
  byId("import-session").disabled = !is;
  setText(byId("import-session"), "Store and make a session");
}

function ask(sentence) {
  byId("import-question").hidden = !sentence;
  setText(byId("import-question"), worded(sentence));
}

const showStatus = (sentence) => setText(byId("import-status"), sentence);
