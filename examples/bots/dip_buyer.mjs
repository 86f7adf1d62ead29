// A bot that is its own clock: it steps a paused session candle by candle and trades it. The same as dip_buyer.py.
// curl -o zeon.mjs http://127.0.0.1:8000/static/client.js && node dip_buyer.mjs http://127.0.0.1:8000 demo BTCUSDT
import { Client } from "./zeon.mjs";

const [url, venue, symbol, candles = "500"] = process.argv.slice(2);
const START_MS = 1_704_067_200_000;
const DAY_MS = 86_400_000;

const client = new Client(url);
let session = await client.create({
  profileSlug: "manual",
  venue,
  symbol,
  timeframe: "1m",
  startMs: START_MS,
  endMs: START_MS + DAY_MS,
  replayMsPerCandle: 0,
  gapPolicy: "skip",
  fill: "same_close",
});
const closes = [];
let seen = 0;
for (let count = 0; count < Number(candles); count++) {
  session = await client.step(session.id, 1, { wait: true }); // It answers when the candle is in the log.
  for await (const event of client.events(session.id, { fromSeq: seen + 1 })) {
    seen = event.seq;
    if (event.type === "candle") closes.push(event.payload.candle.close);
  }
  const account = await client.account(session.id);
  const [c, b, a] = closes.slice(-3).reverse();
  if (closes.length > 3 && c < b && b < a && account.positions.length === 0) {
    const exits = { stopLoss: Number((c * 0.995).toFixed(2)), takeProfit: Number((c * 1.005).toFixed(2)) };
    await client.order(session.id, { side: "buy", type: "market", equityPct: 50, ...exits });
  }
}
await client.close(session.id);
console.log("equity", (await client.account(session.id)).equity);
