// Connect a bot: a key of this session, and the settings with which clients of an exchange trade in it.

import { call, get, post, SESSIONS } from "../common/api.js";
import { byId, make, setText } from "../common/dom.js";
import { realTime } from "../common/format.js";
import { copyable } from "./copying.js";

/** Connect the button "Connect a bot" with its dialog, where the session has an account. */
export function startBots(session) {
  const path = `${SESSIONS}/${session.id}/bot-key`;
  byId("bot").hidden = session.profileSlug === "none";
  byId("bot").addEventListener("click", () => {
    byId("bot-new").replaceChildren();
    byId("bots").showModal();
    attempt(() => showKeys(path));
  });
  byId("bot-create").addEventListener("click", () => attempt(() => create(path)));
}

async function create(path) {
  const { addresses } = await post(path, { expiresIn: byId("bot-for").value });
  const texts = snippets(addresses);
  byId("bot-new").replaceChildren(make("p", { class: "hint" }, "The key is in every address. It is not shown again."), ...Object.entries(texts).map(([name, text]) => copyable(name, text)));
  await showKeys(path);
}

/** What to paste for each client. Every address is replaced, so that no call leaves for the real exchange. */
export function snippets({ ccxt, freqtrade, pythonBinance, binanceConnector }) {
  return {
    ccxt: `import ccxt

exchange = ccxt.binance(${python(ccxt)})
for symbol in exchange.load_markets():
    print(symbol, exchange.fetch_ticker(symbol)["last"])
print(exchange.fetch_balance()["total"])`,
    freqtrade: `"exchange": ${JSON.stringify(freqtrade, null, 2)}`,
    "python-binance": `import binance

ADDRESSES = ${python(pythonBinance)}
for name, attributes in ADDRESSES.items():
    for attribute, address in attributes.items():
        setattr(getattr(binance, name), attribute, address)

client = binance.Client("zeon", "zeon")
print(client.get_all_tickers())
print(client.get_account()["balances"])`,
    "binance-connector": `from binance.spot import Spot

client = Spot("zeon", "zeon", base_url=${python(binanceConnector.base_url)})
print(client.ticker_price())
print(client.account()["balances"])`,
  };
}

/** Write a value as Python does. */
function python(value, indent = "") {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}    `;
  const list = Array.isArray(value);
  const parts = list ? value.map((item) => python(item, inner)) : Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${python(item, inner)}`);
  const [open, end] = list ? "[]" : "{}";
  return parts.length ? `${open}\n${parts.map((part) => `${inner}${part},\n`).join("")}${indent}${end}` : open + end;
}

async function showKeys(path) {
  const { keys } = await get(path);
  byId("bot-keys").replaceChildren(...keys.map((key) => entry(path, key)));
}

function entry(path, key) {
  const revoke = async () => {
    await call("DELETE", `${path}/${key.keyId}`);
    await showKeys(path);
  };
  const label = `Revoke the key of ${new Date(key.createdAtMs).toISOString()}`;
  const end = key.expiresAtMs === null ? [] : [", valid until ", realTime(roundToMinute(key.expiresAtMs))];
  return make("li", {}, "created ", realTime(roundToMinute(key.createdAtMs)), ...end, " ", make("button", { type: "button", class: "quiet", "aria-label": label, onclick: () => attempt(revoke) }, "Revoke"));
}

const roundToMinute = (ms) => ms - (ms % 60_000);

/** Do what a user asked for; an error is shown in the dialog, which covers the page. */
async function attempt(work) {
  setText(byId("bot-problem"), "");
  try {
    await work();
  } catch (error) {
    setText(byId("bot-problem"), error.message);
  }
}
