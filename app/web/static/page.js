// Lists the caller's sessions and follows one of them live.

const SHOWN = 200;
const element = (id) => document.getElementById(id);
let source = null;
let followed = null;

async function call(method, path, body) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error), { status: response.status });
  return answer.data;
}

function say(sentence) {
  element("state").textContent = sentence;
}

async function refresh() {
  try {
    const { sessions } = await call("GET", "/api/sim/sessions");
    element("login").hidden = true;
    element("none").hidden = sessions.length > 0;
    element("sessions").replaceChildren(...sessions.map(item));
  } catch (error) {
    element("login").hidden = error.status !== 401;
    say(error.message);
  }
}

function item(session) {
  const button = document.createElement("button");
  button.textContent = `${session.name ?? session.symbols.join(" ")} · ${session.timeframe} · ${session.status} · ${session.lastSeq}`;
  button.setAttribute("aria-pressed", String(session.id === followed));
  button.addEventListener("click", () => follow(session));
  const entry = document.createElement("li");
  entry.append(button);
  return entry;
}

function follow(session) {
  source?.close();
  followed = session.id;
  element("tail").replaceChildren();
  source = new EventSource(`${session.streamUrl}?tail=50`);
  source.onopen = () => say("connected");
  source.onmessage = (message) => show(JSON.parse(message.data));
  source.onerror = () => say(source.readyState === EventSource.CLOSED ? "the stream has ended" : "reconnecting …");
  refresh();
}

function show(event) {
  if (event.type === "heartbeat") return;
  if (event.type === "caught_up") return say(`live from seq ${event.lastSeq}`);
  const line = document.createElement("li");
  const payload = event.payload.candle ?? event.payload;
  line.textContent = `${event.seq} ${new Date(event.ts).toISOString()} ${event.type} ${JSON.stringify(payload)}`;
  element("tail").prepend(line);
  while (element("tail").childElementCount > SHOWN) element("tail").lastElementChild.remove();
  if (event.type === "status") refresh();
}

element("login").addEventListener("submit", async (submit) => {
  submit.preventDefault();
  try {
    await call("POST", "/login", { token: element("token").value });
    element("token").value = "";
    await refresh();
  } catch (error) {
    say(error.message);
  }
});

await refresh();
setInterval(refresh, 5000);
