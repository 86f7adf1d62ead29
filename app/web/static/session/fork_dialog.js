// Asks how a fork goes on: with which profile and parameters.

import { get } from "../common/api.js";
import { make, option } from "../common/dom.js";
import { whole } from "../common/format.js";
import { Parameters } from "../list/parameters.js";

/** Ask for the fields of a fork at a seq; null if the user cancels. Only what was changed is in the answer. */
export async function askFork(session, atSeq) {
  const { profiles } = await get("/api/sim/profiles");
  const fields = make("div", { class: "fields" });
  const parameters = new Parameters(fields, { lines: false });
  parameters.profiles = new Map(profiles.map((profile) => [profile.slug, profile.slug === session.profileSlug ? withDefaults(profile, session.config) : profile]));
  const profile = make("select", { onchange: () => parameters.show(profile.value) }, ...choices(profiles, session.profileSlug));
  parameters.show(session.profileSlug);
  const form = make(
    "form",
    { method: "dialog", class: "stack" },
    make("h2", { id: "fork-title" }, `Fork at seq ${whole(atSeq)}`),
    make("p", { class: "hint" }, "The fork shares the log up to here, with cash, position and open orders. These settings count after it."),
    make("div", { class: "fields" }, make("label", { class: "field" }, "Profile", profile)),
    fields,
    make("div", { class: "row end" }, make("button", { value: "", formnovalidate: true }, "Cancel"), make("button", { value: "fork", class: "primary" }, "Fork")),
  );
  const dialog = make("dialog", { "aria-labelledby": "fork-title", class: "wide" }, form);
  document.body.append(dialog);
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  dialog.remove();
  return dialog.returnValue === "fork" ? { atSeq, ...changes(session, profile.value, parameters.values()) } : null;
}

/** The own profile is a choice even if the server does not know it any more. */
function choices(profiles, own) {
  const slugs = [...new Set([own, ...profiles.map(({ slug }) => slug)])];
  return slugs.map((slug) => option(slug, slug, slug === own));
}

function withDefaults(profile, config) {
  const properties = Object.entries(profile.parameters.properties ?? {});
  const filled = properties.map(([name, schema]) => [name, name in config ? { ...schema, default: config[name] } : schema]);
  return { ...profile, parameters: { ...profile.parameters, properties: Object.fromEntries(filled) } };
}

function changes(session, profileSlug, values) {
  const other = profileSlug !== session.profileSlug;
  return {
    ...(other && { profileSlug, config: values }),
    ...(!other && Object.keys(values).length > 0 && { config: { ...session.config, ...values } }),
  };
}
