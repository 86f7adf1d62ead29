// The options of both charts: the colors and fonts of the page.

import { clockText, currentZone, isBlind, timeText, zoneName } from "../common/display.js";
import { utc } from "../common/format.js";
import { color } from "../common/theme.js";

const TIME_OF_DAY = 3; // From this type of mark on, Lightweight Charts marks times within a day.

/** The time under the pointer in the chosen zone, and in UTC where that differs. */
function crosshairTime(seconds) {
  const ms = seconds * 1000;
  if (isBlind()) return timeText(ms);
  return currentZone() === "local" ? `${timeText(ms)} local · ${utc(ms)} UTC` : `${timeText(ms)} ${zoneName()}`;
}

/** The text of a mark on the time axis; null where the library's own, which is in UTC, is right. */
function tickMark(seconds, type) {
  if (!isBlind() && currentZone() === "utc") return null;
  const ms = seconds * 1000;
  const clock = clockText(ms);
  if (type >= TIME_OF_DAY) return clock;
  const day = timeText(ms).slice(0, -clock.length - 1);
  return isBlind() ? day : `${day.slice(5)} ${clock}`;
}

/** Options of Lightweight Charts for the current theme. */
export function chartOptions() {
  const [line, text] = [color("--line"), color("--muted")];
  const { fontFamily, fontSize } = getComputedStyle(document.body);
  return {
    layout: { background: { color: color("--panel") }, textColor: text, fontFamily, fontSize: 0.8 * parseFloat(fontSize), panes: { separatorColor: line } },
    grid: { vertLines: { color: color("--grid") }, horzLines: { color: color("--grid") } },
    rightPriceScale: { borderColor: line },
    timeScale: { borderColor: line, timeVisible: true, secondsVisible: false, tickMarkFormatter: tickMark, rightOffset: 4, minBarSpacing: 0.02 },
    crosshair: { mode: 0 },
    localization: { locale: "en-GB", timeFormatter: crosshairTime },
  };
}
