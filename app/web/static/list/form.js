// The form for a new session: what can be asked for comes from the server, so that it shows what works there.

import { description, get, post, SESSIONS } from "../common/api.js";
import { byId, make, option } from "../common/dom.js";
import { fromField, words } from "../common/format.js";
import { Candles } from "./candles.js";
import { Parameters } from "./parameters.js";

const TERMS = ["initialCash", "feeBps", "slippageBps"];
const DEFAULTS = { initialCash: 10000, feeBps: 10, slippageBps: 0 };
let candles = null;
let parameters = null;

/** Connect the form's fields once. */
export function startForm() {
  candles = new Candles();
  parameters = new Parameters(byId("parameters"));
  byId("close").addEventListener("click", () => byId("creation").close());
  byId("pace").addEventListener("change", showSpeed);
  byId("profile").addEventListener("change", showParameters);
  byId("create").addEventListener("submit", create);
}

/** Show the form at once, and in it what the server has at the moment, with a series of the cache chosen. */
export async function openForm(series = null) {
  tell("");
  ready(false);
  byId("creation").showModal();
  try {
    await fill(series);
    ready(true);
  } catch (error) {
    tell(error.message);
  }
}

function ready(is) {
  for (const button of byId("create").querySelectorAll("button[value]")) button.disabled = !is;
}

async function fill(series) {
  const [{ profiles }, described] = await Promise.all([get("/api/sim/profiles"), description(), candles.load(series)]);
  const fields = described.components.schemas.NewSession.properties;
  parameters.profiles = new Map(profiles.map((profile) => [profile.slug, profile]));
  byId("profile").replaceChildren(...profiles.map(({ slug }) => option(slug, slug, slug === "sma_cross")));
  byId("terms").replaceChildren(...TERMS.filter((name) => name in fields).map(term));
  showParameters();
  showSpeed();
}

function term(name) {
  const input = make("input", { id: name, type: "number", min: 0, step: "any", value: DEFAULTS[name], required: true });
  return make("label", { class: "field" }, words(name).replace("bps", "(basis points)"), input);
}

function showSpeed() {
  byId("speed-field").hidden = byId("pace").value !== "speed";
}

function showParameters() {
  const schema = parameters.show(byId("profile").value);
  const [summary, ...rest] = (schema.description ?? "").split("\n\n");
  byId("profile-text").textContent = summary;
  byId("profile-rule").hidden = !rest.length;
  byId("profile-more").textContent = rest.join(" ").replace(/^Rule: /, "");
}

function tell(sentence) {
  byId("create-problem").textContent = sentence;
  byId("create-problem").hidden = !sentence;
}

/** The request, with nothing in it that was left empty. */
function asked() {
  const name = byId("name").value.trim();
  const endMs = fromField(byId("to").value);
  const pace = byId("pace").value;
  return {
    ...candles.chosen(),
    profileSlug: byId("profile").value,
    config: parameters.values(),
    startMs: fromField(byId("from").value),
    ...(endMs === null ? {} : { endMs }),
    ...(endMs === null && byId("gap-policy").value === "fail" ? {} : { gapPolicy: byId("gap-policy").value }),
    ...(pace === "speed" ? { speed: Number(byId("speed").value) } : { replayMsPerCandle: Number(pace) }),
    ...(name ? { name } : {}),
    ...Object.fromEntries(TERMS.filter(byId).map((field) => [field, Number(byId(field).value)])),
  };
}

/** Create, start if asked for, and go to the session; one that cannot start says so on its own page. */
async function create(submit) {
  submit.preventDefault();
  try {
    tell("");
    const session = await post(SESSIONS, asked());
    if (submit.submitter?.value === "start") await post(`${SESSIONS}/${session.id}/start`).catch(() => null);
    location.assign(`/sessions/${session.id}`);
  } catch (error) {
    tell(error.message);
  }
}
