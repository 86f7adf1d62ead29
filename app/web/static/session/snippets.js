// Commands that read the session with curl, psql and Python, ready to be copied.

import { byId, make } from "../common/dom.js";

const TOKEN = ' -H "Authorization: Bearer $TOKEN"';

/** Show the dialog for a session; the snippets read from `fromSeq` on. */
export async function showSnippets(session, fromSeq) {
  const open = (await fetch(`/api/sim/sessions/${session.id}`, { credentials: "omit" })).ok;
  const entries = Object.entries(snippets(session, fromSeq, open));
  byId("snippet-list").replaceChildren(...entries.map(([name, text]) => entry(name, text)));
  byId("snippets").showModal();
}

function snippets(session, fromSeq, open) {
  const url = `${location.origin}/api/sim/sessions/${session.id}`;
  return {
    curl: `curl -N${open ? "" : TOKEN} '${url}/stream?fromSeq=${fromSeq}'`,
    psql: `zeon psql -c "SELECT seq, to_timestamp(ts / 1000.0) AS at, type, payload\n  FROM sim_events WHERE session_id = '${session.id}' AND seq >= ${fromSeq} ORDER BY seq LIMIT 20"`,
    Python: python(url, fromSeq, open),
  };
}

function python(url, fromSeq, open) {
  const imports = open ? "import json\nimport urllib.request\n" : "import json\nimport os\nimport urllib.request\n";
  const headers = open ? "" : ', headers={"Authorization": "Bearer " + os.environ["TOKEN"]}';
  return `${imports}
request = urllib.request.Request("${url}/stream?fromSeq=${fromSeq}"${headers})
with urllib.request.urlopen(request) as stream:
    for line in stream:
        if line.startswith(b"data: "):
            event = json.loads(line[6:])
            print(event.get("seq"), event["type"], event.get("payload"))`;
}

function entry(name, text) {
  const code = make("pre", { tabindex: 0, "aria-label": `${name} snippet` }, text);
  const button = make("button", { type: "button", "aria-label": `Copy the ${name} snippet`, onclick: () => copy(text, code, button) }, "Copy");
  return make("section", {}, make("div", { class: "row" }, make("h3", {}, name), make("span", { class: "push" }), button), code);
}

/** Copy where the browser allows it; otherwise select the text for Ctrl-C. */
async function copy(text, code, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(code);
    button.textContent = "Selected: press Ctrl-C";
  }
  setTimeout(() => (button.textContent = "Copy"), 2000);
}
