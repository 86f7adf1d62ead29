// Change name and tags of a session in its row.

import { call, SESSIONS } from "../common/api.js";
import { make } from "../common/dom.js";
import { announce, attempt } from "../common/notice.js";

/** Put fields for name and tags into `place`; `done(session)` gets the changed session, or null after Escape. */
export function describe(session, place, done) {
  const name = make("input", { value: session.name ?? "", maxlength: 200, autocomplete: "off" });
  const tags = make("input", { value: session.tags.join(", "), autocomplete: "off" });
  const form = make(
    "form",
    { class: "describe" },
    make("label", { class: "field" }, "Name", name),
    make("label", { class: "field" }, "Tags, separated by commas", tags),
    make("div", { class: "row" }, make("button", { class: "primary" }, "Save"), make("button", { type: "button", onclick: () => close(null) }, "Cancel")),
  );
  const close = (changed) => {
    form.remove();
    done(changed);
  };
  form.addEventListener("keydown", (press) => press.key === "Escape" && close(null));
  form.addEventListener("submit", async (submit) => {
    submit.preventDefault();
    const listed = tags.value.split(",").map((tag) => tag.trim()).filter(Boolean);
    const changed = await attempt(() => call("PATCH", `${SESSIONS}/${session.id}`, { name: name.value.trim() || null, tags: [...new Set(listed)] }));
    if (!changed) return;
    announce("Name and tags are saved.");
    close(changed);
  });
  place.append(form);
  name.focus();
  name.select();
}
