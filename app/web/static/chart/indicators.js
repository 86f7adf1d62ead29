// Indicators from candles, oldest first: one value per candle, null where there is none yet. Pure functions.

/** The mean of the last `length` values. */
export function sma(values, length) {
  let sum = 0;
  return values.map((value, index) => {
    sum += value - (index >= length ? values[index - length] : 0);
    return index + 1 < length ? null : sum / length;
  });
}

/** The exponential average with the weight 2 / (length + 1), begun with the mean of the first `length` values. */
export function ema(values, length) {
  const weight = 2 / (length + 1);
  let sum = 0;
  let last = null;
  return values.map((value, index) => {
    if (index + 1 < length) {
      sum += value;
      return null;
    }
    last = last === null ? (sum + value) / length : last + weight * (value - last);
    return last;
  });
}

/** The relative strength index as Wilder smooths it: 0 to 100; 100 without any fall. */
export function rsi(values, length) {
  let [gain, loss] = [0, 0];
  return values.map((value, index) => {
    if (index === 0) return null;
    const change = value - values[index - 1];
    const [up, down] = [Math.max(change, 0), Math.max(-change, 0)];
    if (index <= length) {
      gain += up / length;
      loss += down / length;
      if (index < length) return null;
    } else {
      gain = (gain * (length - 1) + up) / length;
      loss = (loss * (length - 1) + down) / length;
    }
    return loss === 0 ? 100 : 100 - 100 / (1 + gain / loss);
  });
}

/** The mean price weighted by volume since the day's first candle (UTC); the price of a candle is (high + low + close) / 3. */
export function vwap(bars) {
  let [day, money, volume] = [null, 0, 0];
  return bars.map((bar) => {
    const today = Math.floor(bar.time / 86_400);
    if (today !== day) [day, money, volume] = [today, 0, 0];
    money += (bar.volume * (bar.high + bar.low + bar.close)) / 3;
    volume += bar.volume;
    return volume > 0 ? money / volume : null;
  });
}

/**
 * The volume traded at each of `count` equal steps of price between the lowest low and the highest high: a candle's
 * volume is spread evenly over its range. Returns `[{ low, high, volume }]`, lowest first.
 */
export function volumeProfile(bars, count) {
  if (!bars.length) return [];
  const low = Math.min(...bars.map((bar) => bar.low));
  const high = Math.max(...bars.map((bar) => bar.high));
  const step = (high - low) / count || 1;
  const steps = Array.from({ length: count }, (_, index) => ({ low: low + index * step, high: low + (index + 1) * step, volume: 0 }));
  const indexOf = (price) => Math.min(count - 1, Math.max(0, Math.floor((price - low) / step)));
  for (const bar of bars) {
    const [first, last] = [indexOf(bar.low), indexOf(bar.high)];
    const range = bar.high - bar.low;
    for (let index = first; index <= last; index += 1) {
      const part = Math.min(bar.high, steps[index].high) - Math.max(bar.low, steps[index].low);
      steps[index].volume += bar.volume * (range > 0 ? Math.max(0, part) / range : 1 / (last - first + 1));
    }
  }
  return steps;
}
