// Longer candles from those of a shorter timeframe. The last one may still be forming: it holds what is known so far.

const WEEK_S = 604_800;
const FIRST_MONDAY_S = 345_600; // 1970-01-05

/** The open time in seconds of the longer candle that a time in seconds belongs to; weeks begin on Monday. */
export function bucketOf(seconds, lengthS) {
  const offset = lengthS === WEEK_S ? FIRST_MONDAY_S : 0;
  return Math.floor((seconds - offset) / lengthS) * lengthS + offset;
}

/** Join bars, oldest first, into bars of `lengthS` seconds. */
export function resample(bars, lengthS) {
  const longer = [];
  for (const bar of bars) {
    const time = bucketOf(bar.time, lengthS);
    const last = longer.at(-1);
    if (last?.time !== time) longer.push({ ...bar, time });
    else join(last, bar);
  }
  return longer;
}

function join(last, bar) {
  last.high = Math.max(last.high, bar.high);
  last.low = Math.min(last.low, bar.low);
  last.close = bar.close;
  last.volume += bar.volume;
}
