// A small chart next to a number.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 96;
const HEIGHT = 24;

/** Draw values as a line, with the first value as the base line. Screen readers skip it: the number next to it says the same. */
export function sparkline(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (index) => (WIDTH * index) / Math.max(1, values.length - 1);
  const y = (value) => HEIGHT - 2 - ((HEIGHT - 4) * (value - low)) / (high - low || 1);
  const points = values.map((value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const base = y(values[0]).toFixed(1);
  const tone = values.at(-1) < values[0] ? "negative" : "positive";
  const lines = [element("line", { x1: 0, x2: WIDTH, y1: base, y2: base }), element("polyline", { points })];
  return element("svg", { class: `sparkline ${tone}`, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": true }, lines);
}

function element(tag, attributes, children = []) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
