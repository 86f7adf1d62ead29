// How both charts look, in the colors of the page.

import { color } from "../common/theme.js";

/** Options of Lightweight Charts for the present theme. */
export function look() {
  const [line, text] = [color("--line"), color("--muted")];
  const { fontFamily, fontSize } = getComputedStyle(document.body);
  return {
    layout: { background: { color: color("--panel") }, textColor: text, fontFamily, fontSize: 0.8 * parseFloat(fontSize), panes: { separatorColor: line } },
    grid: { vertLines: { color: color("--grid") }, horzLines: { color: color("--grid") } },
    rightPriceScale: { borderColor: line },
    timeScale: { borderColor: line, timeVisible: true, secondsVisible: false, rightOffset: 4, minBarSpacing: 0.02 },
    crosshair: { mode: 0 },
    localization: { locale: "en-GB", dateFormat: "yyyy-MM-dd" },
  };
}
