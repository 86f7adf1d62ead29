// Makes and finds elements. Text only ever becomes a text node, so nothing anybody wrote is read as markup.

export const byId = (id) => document.getElementById(id);

/** Make an element: `onclick`-like properties are listeners, true is an empty attribute, false and null are none. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** Set text only where it changed, so that a screen reader and a selection are left in peace. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Make an `<option>`. */
export function option(value, text = value, chosen = false) {
  return make("option", { value, selected: chosen }, String(text));
}

/** Fill a `<dl>` with pairs of words and values; a value is text or an element. */
export function fillPairs(list, pairs) {
  list.replaceChildren(...pairs.map(([word, value]) => make("div", {}, make("dt", {}, word), make("dd", {}, value))));
}

/** Whether keys typed now belong to a field rather than to the page. */
export function isTyping(target) {
  return target.matches?.("input:not([type=radio]):not([type=checkbox]), select, textarea") ?? false;
}
