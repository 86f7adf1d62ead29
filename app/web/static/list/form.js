// The form for a new session. Fields and profiles come from the server, so that the form shows what works there.

import { get, post, schemas, SESSIONS } from "../common/api.js";
import { byId, make, option } from "../common/dom.js";
import { fromField, label } from "../common/format.js";
import { at } from "../common/root.js";
import { CandlePicker } from "./candles.js";
import { Parameters } from "./parameters.js";

const TRADING_FIELDS = ["initialCash", "feeBps", "slippageBps"];
const DEFAULTS = { initialCash: 10000, feeBps: 10, slippageBps: 0 };
let candles = null;
let parameters = null;

/** Connect the form's fields once. */
export function startForm() {
  candles = new CandlePicker();
  parameters = new Parameters(byId("parameters"));
  byId("close").addEventListener("click", () => byId("creation").close());
  byId("pace").addEventListener("change", showSpeed);
  byId("profile").addEventListener("change", showParameters);
  byId("create").addEventListener("submit", create);
}

/** Show the form at once, then fill it with what the server has now, a series of the cache chosen. */
export async function openForm(series = null) {
  showError("");
  enableButtons(false);
  byId("creation").showModal();
  try {
    await fill(series);
    enableButtons(true);
  } catch (error) {
    showError(error.message);
  }
}

function enableButtons(enabled) {
  for (const button of byId("create").querySelectorAll("button[value]")) button.disabled = !enabled;
}

async function fill(series) {
  const [{ profiles }, { NewSession }] = await Promise.all([get("/api/sim/profiles"), schemas(), candles.load(series)]);
  const fields = NewSession.properties;
  parameters.profiles = new Map(profiles.map((profile) => [profile.slug, profile]));
  byId("profile").replaceChildren(...profiles.map(({ slug }) => option(slug, slug, slug === "sma_cross")));
  byId("terms").replaceChildren(...TRADING_FIELDS.filter((name) => name in fields).map(tradingField));
  showParameters();
  showSpeed();
}

function tradingField(name) {
  const input = make("input", { id: name, type: "number", min: 0, step: "any", value: DEFAULTS[name], required: true });
  return make("label", { class: "field" }, label(name).replace("bps", "(basis points)"), input);
}

function showSpeed() {
  byId("speed-field").hidden = byId("pace").value !== "speed";
}

function showParameters() {
  const schema = parameters.show(byId("profile").value);
  const [summary, ...rest] = (schema.description ?? "").split("\n\n");
  byId("profile-text").textContent = [summary, needs(byId("profile").value)].filter(Boolean).join(" ");
  byId("profile-rule").hidden = !rest.length;
  byId("profile-more").textContent = rest.join(" ").replace(/^Rule: /, "");
}

/** A sentence about what a strategy declares; the server sets it, because the form leaves these fields out. */
function needs(slug) {
  const { timeframes, warmup } = parameters.profiles.get(slug);
  const parts = [timeframes.length ? `candles of ${timeframes.join(", ")}` : "", warmup ? `${warmup} candles before the start` : ""].filter(Boolean);
  return parts.length ? `Needs ${parts.join(" and ")}.` : "";
}

function showError(sentence) {
  byId("create-problem").textContent = sentence;
  byId("create-problem").hidden = !sentence;
}

/** The body of the request, without the fields that are empty. */
function newSession() {
  const name = byId("name").value.trim();
  const endMs = fromField(byId("to").value);
  const pace = byId("pace").value;
  return {
    startMs: fromField(byId("from").value),
    ...(endMs === null ? {} : { endMs }),
    ...candles.values(),
    profileSlug: byId("profile").value,
    config: parameters.values(),
    ...(endMs === null && byId("gap-policy").value === "fail" ? {} : { gapPolicy: byId("gap-policy").value }),
    ...(pace === "speed" ? { speed: Number(byId("speed").value) } : { replayMsPerCandle: Number(pace) }),
    ...(name ? { name } : {}),
    ...Object.fromEntries(TRADING_FIELDS.filter(byId).map((field) => [field, Number(byId(field).value)])),
  };
}

/** Create the session, start it if the user chose that, and go to its page, which shows why a session could not start. */
async function create(submit) {
  submit.preventDefault();
  try {
    showError("");
    const session = await post(SESSIONS, newSession());
    if (submit.submitter?.value === "start") await post(`${SESSIONS}/${session.id}/start`).catch(() => null);
    location.assign(at(`/sessions/${session.id}`));
  } catch (error) {
    showError(error.message);
  }
}
