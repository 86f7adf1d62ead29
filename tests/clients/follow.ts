// A program over the client that openapi-typescript generates: it follows a session to its end and prints each seq.
import { EventSource } from "eventsource";
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type StreamMessage = components["schemas"]["StreamMessage"];

const url = process.env.URL!;
const api = createClient<paths>({ baseUrl: url });
const id = process.argv[2]!;

const started = await api.POST("/api/sim/sessions/{id}/start", { params: { path: { id } }, body: {} });
if (started.error) throw new Error(started.error.code satisfies string);
const page = await api.GET("/api/sim/sessions/{id}/events", {
  params: { path: { id }, query: { limit: 1, types: ["status", "candle"] } },
});
const lastSeq: number | undefined = page.data?.data.lastSeq;
if (lastSeq === undefined) throw new Error("no page");

const source = new EventSource(`${url}/api/sim/sessions/${id}/stream`);
source.onmessage = (event) => {
  const message = JSON.parse(event.data) as StreamMessage;
  if (message.type === "candle") {
    const close: number = message.payload.candle.close;
    if (!Number.isFinite(close)) throw new Error("no close");
  }
  if ("seq" in message) console.log(message.seq);
};
