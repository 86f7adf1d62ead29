// The time in the heading: that of the last candle on the chart, changed in the same frame as the chart.

import { byId } from "../common/dom.js";
import { pace, time, timeframeMs } from "../common/format.js";

const ENDED = ["stopped", "finished", "failed"];

/** Show the open time of the last candle drawn (ms; null without any), and how much of the range is done. */
export function showClock(session, shownMs, isBack, standardPaces) {
  const { progress, cursorMs, replayMsPerCandle, startMs, endMs, record } = session;
  const ms = shownMs ?? (record === "trades" ? cursorMs : null);
  const done = ms === null ? 0 : ms + timeframeMs(session.timeframe) - startMs;
  const ended = ENDED.includes(session.status) && !isBack;
  const byTime = endMs === null ? null : Math.min(100, (100 * done) / (endMs - startMs));
  const pct = ended || progress?.fetching ? (progress?.pct ?? null) : byTime;
  byId("progress").hidden = pct === null;
  byId("progress").value = pct ?? 0;
  const checking = progress?.checking && `checks its changed code: ${progress.checking.done} of ${progress.checking.total} candles`;
  const parts = [checking, pct !== null && `${pct.toFixed(1)} %`, standardPaces.includes(replayMsPerCandle) ? null : pace(session)];
  byId("at").replaceChildren(ms === null ? "not started" : time(ms), ...parts.filter(Boolean).map((part) => ` · ${part}`));
}
