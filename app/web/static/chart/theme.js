// The options of both charts: the colors and fonts of the page.

import { utc } from "../common/format.js";
import { color } from "../common/theme.js";

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZoneName: "short" });

/** The time under the pointer in UTC, and the local time where it differs. */
function crosshairTime(seconds) {
  const ms = seconds * 1000;
  return `${utc(ms)} UTC${new Date(ms).getTimezoneOffset() ? ` · ${CLOCK.format(ms)}` : ""}`;
}

/** Options of Lightweight Charts for the current theme. */
export function chartOptions() {
  const [line, text] = [color("--line"), color("--muted")];
  const { fontFamily, fontSize } = getComputedStyle(document.body);
  return {
    layout: { background: { color: color("--panel") }, textColor: text, fontFamily, fontSize: 0.8 * parseFloat(fontSize), panes: { separatorColor: line } },
    grid: { vertLines: { color: color("--grid") }, horzLines: { color: color("--grid") } },
    rightPriceScale: { borderColor: line },
    timeScale: { borderColor: line, timeVisible: true, secondsVisible: false, rightOffset: 4, minBarSpacing: 0.02 },
    crosshair: { mode: 0 },
    localization: { locale: "en-GB", timeFormatter: crosshairTime },
  };
}
