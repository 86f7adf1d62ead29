// Fields for a strategy's parameters, made from their JSON schema.

import { make, option } from "../common/dom.js";
import { label } from "../common/format.js";

/** The parameter that makes a strategy plot its lines. Its default is off, but who creates a session here looks at its chart. */
const LINES = "lines";

export class Parameters {
  profiles = new Map();
  #fields = new Map();

  /** With `lines` the parameter of that name is on at first. */
  constructor(element, { lines = true } = {}) {
    this.element = element;
    this.lines = lines;
  }

  /** Show the parameters of a profile and return their schema. */
  show(slug) {
    const schema = this.profiles.get(slug)?.parameters ?? {};
    const required = new Set(schema.required);
    this.#fields = new Map(Object.entries(schema.properties ?? {}).map(([name, property]) => [name, field(withoutNull(property), required.has(name), this.lines && name === LINES)]));
    this.element.replaceChildren(...[...this.#fields].map(([name, { input }]) => make("label", { class: "field" }, label(name), input)));
    return schema;
  }

  /** The values that differ from the defaults. */
  values() {
    const all = [...this.#fields].map(([name, { input, read, initial }]) => [name, read(input), initial]);
    return Object.fromEntries(all.filter(([, value, initial]) => value !== undefined && value !== initial).map(([name, value]) => [name, value]));
  }
}

/** A schema that also allows null, without it. */
function withoutNull(schema) {
  const choices = schema.anyOf?.filter(({ type }) => type !== "null");
  return choices?.length === 1 ? { ...schema, ...choices[0] } : schema;
}

function field(schema, required, on) {
  const initial = schema.default;
  if (schema.type === "boolean") {
    return { input: make("input", { type: "checkbox", checked: initial === true || on }), read: (input) => input.checked, initial };
  }
  if (schema.enum) {
    const input = make("select", {}, ...schema.enum.map((value) => option(value, value, value === initial)));
    return { input, read: (select) => schema.enum[select.selectedIndex], initial };
  }
  if (schema.type === "integer" || schema.type === "number") return { ...numeric(schema, required), initial };
  if (schema.type === "string") {
    return { input: make("input", { value: initial, required, pattern: schema.pattern }), read: (input) => input.value || undefined, initial };
  }
  const input = make("input", { value: initial === undefined ? "" : JSON.stringify(initial), required, placeholder: "JSON" });
  return { input, read: (text) => (text.value ? JSON.parse(text.value) : undefined), initial: undefined };
}

function numeric(schema, required) {
  const input = make("input", {
    type: "number",
    value: schema.default,
    min: schema.minimum ?? schema.exclusiveMinimum,
    max: schema.maximum ?? schema.exclusiveMaximum,
    step: schema.type === "integer" ? 1 : "any",
    required,
  });
  return { input, read: (typed) => (typed.value === "" ? undefined : Number(typed.value)) };
}
