// Calls that trade. Each has a key, so that one whose answer was lost can be repeated without placing anything twice.

import { client, get, SESSIONS } from "../common/api.js";

const PATIENCE_MS = 20_000;
const PAUSE_MS = 300;
const LOST = [0, 502, 503, 504];
/** The fields that a moved order keeps. A `clientOrderId` can be used only once. */
const KEPT = ["symbol", "side", "type", "qty", "cash", "equityPct", "limitPrice", "stopPrice", "stopLoss", "takeProfit", "reduceOnly", "goodForCandles", "fill", "tag", "reason"];
const EXITS = ["stop loss", "take profit"];

/** Place an order and return it as it is in the log. */
export const place = (id, order) => insist((key) => client.order(id, order, key));

/** Close a position with a market order; returns the orders. */
export const flatten = (id, symbol) => insist((key) => client.close(id, { symbol }, key));

export const cancel = (id, orderId) => insist((key) => client.call("DELETE", `${SESSIONS}/${id}/orders/${orderId}`, undefined, {}, key));
export const cancelAll = (id) => insist((key) => client.call("DELETE", `${SESSIONS}/${id}/orders`, undefined, {}, key));

/**
 * Move an open order to other prices: cancel it, then place a new one with the same fields. Returns the new order; throws
 * what the cancellation throws, and an error that says so where only the new order was refused.
 */
export async function move(id, orderId, prices) {
  const fields = { ...(await requestOf(id, orderId)), ...prices };
  await cancel(id, orderId);
  try {
    return await place(id, fields);
  } catch (error) {
    error.message = `Order ${orderId} is cancelled, but the new one was refused: ${error.message}`;
    throw error;
  }
}

/** The request that places an order like an open one, for what of it is not filled yet. */
async function requestOf(id, orderId) {
  const order = await get(`${SESSIONS}/${id}/orders/${orderId}`);
  const args = order.commandSeq === null ? ownFields(order) : await commandArgs(id, order.commandSeq);
  const kept = Object.fromEntries(KEPT.filter((name) => args[name] != null).map((name) => [name, args[name]]));
  if (order.qty === null) return kept;
  const { cash, equityPct, ...sized } = kept;
  return { ...sized, qty: rest(order) };
}

/** What is left of an order, without the noise of floating point. */
const rest = ({ qty, filledQty }) => Number((qty - filledQty).toPrecision(15));

async function commandArgs(id, seq) {
  const { events } = await get(`${SESSIONS}/${id}/events?fromSeq=${seq}&limit=1`);
  return events[0].payload.args;
}

/** The fields of an order of the strategy, or of an exit that came with a fill; an exit only reduces the position. */
function ownFields(order) {
  return { ...order, reduceOnly: EXITS.includes(order.reason) || undefined };
}

/** Make a call, and repeat it with the same key while its answer is lost. */
async function insist(call) {
  const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await call(key);
    } catch (error) {
      if (!LOST.includes(error.status)) throw error;
      if (performance.now() > end) {
        error.message = `${error.message} It is not known whether the order was taken; look at the orders before you repeat it.`;
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}
