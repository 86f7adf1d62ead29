// Programs and commands that read the session with Python, JavaScript, curl and psql, ready to be copied.

import { byId } from "../common/dom.js";
import { server } from "../common/root.js";
import { copyable } from "./copying.js";

const TOKEN = ' -H "Authorization: Bearer $TOKEN"';

/** Show the dialog for a session; the snippets read from `fromSeq` on. */
export async function showSnippets(session, fromSeq) {
  const open = (await fetch(`${server}/api/sim/sessions/${session.id}`, { credentials: "omit" })).ok;
  const entries = Object.entries(snippets(session, fromSeq, open));
  byId("snippet-list").replaceChildren(...entries.map(([name, text]) => copyable(name, text)));
  byId("snippets").showModal();
}

function snippets(session, fromSeq, open) {
  const url = `${server}/api/sim/sessions/${session.id}`;
  return {
    Python: python(session.id, fromSeq, open),
    JavaScript: javascript(session.id, fromSeq, open),
    curl: `curl -N${open ? "" : TOKEN} '${url}/stream?fromSeq=${fromSeq}'`,
    psql: `zeon psql -c "SELECT seq, to_timestamp(ts / 1000.0) AS at, type, payload\n  FROM sim_events WHERE session_id = '${session.id}' AND seq >= ${fromSeq} ORDER BY seq LIMIT 20"`,
  };
}

/** For where `pip install 'zeon-sim[client]'` was run. */
function python(id, fromSeq, open) {
  const token = open ? "" : ', token=os.environ["TOKEN"]';
  return `${open ? "" : "import os\n"}from zeon import Client

with Client("${server}"${token}) as client:
    for event in client.tail("${id}", from_seq=${fromSeq}):
        print(event.seq, event.type, event.payload)`;
}

/** For Node and Bun, which import nothing over HTTP; a page imports the client's address. */
function javascript(id, fromSeq, open) {
  const token = open ? "" : ", { token: process.env.TOKEN }";
  return `const source = await (await fetch("${server}/static/client.js")).text();
const { Client } = await import("data:text/javascript," + encodeURIComponent(source));

const client = new Client("${server}"${token});
for await (const event of client.tail("${id}", { fromSeq: ${fromSeq} })) {
  console.log(event.seq, event.type, event.payload);
}`;
}
