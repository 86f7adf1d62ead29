// Creates and finds elements. Text always becomes a text node, so nothing that a user wrote is read as markup.

export const byId = (id) => document.getElementById(id);

/** Create an element. Properties such as `onclick` are listeners; true is an empty attribute, false and null are no attribute. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** Set text only where it changed, so that a screen reader does not repeat it and a selection stays. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Create an `<option>`. */
export function option(value, text = value, selected = false) {
  return make("option", { value, selected }, String(text));
}

/** Fill a `<dl>` with pairs of label and value; a value is text or an element. */
export function fillPairs(list, pairs) {
  list.replaceChildren(...pairs.map(([label, value]) => make("div", {}, make("dt", {}, label), make("dd", {}, value))));
}

/** Whether a key press on this element is text for a field, not a key of the page. */
export function isTyping(target) {
  return target.matches?.("input:not([type=radio], [type=checkbox], [type=range]), select, textarea") ?? false;
}
