// Prices as the market writes them: with as many decimals as the candles of the symbol have.

import { minus } from "./format.js";

const LEAST = 2;
const MOST = 8;
const decimals = new Map();
const formats = new Map();

/** Learn the decimals of a symbol from numbers of its candles. Most numbers need no more than are known. */
export function learnDecimals(symbol, numbers) {
  let known = decimals.get(symbol) ?? LEAST;
  for (const number of numbers) {
    while (known < MOST && !fits(number, known)) known += 1;
  }
  decimals.set(symbol, known);
}

/** Whether a number has at most so many decimals; floats of large numbers are exact to fewer. */
function fits(number, digits) {
  const scaled = number * 10 ** digits;
  return Math.abs(scaled - Math.round(scaled)) < Math.max(1e-6, Math.abs(scaled) * 1e-13);
}

/** The decimals of the prices of a symbol, 2 to 8. */
export const decimalsOf = (symbol) => decimals.get(symbol) ?? LEAST;

/** Write a price with the decimals of its symbol. */
export function priceText(symbol, price) {
  const digits = decimalsOf(symbol);
  if (!formats.has(digits)) formats.set(digits, new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  return minus(formats.get(digits).format(price));
}

/** Round a price to the decimals of its symbol. */
export const roundPrice = (symbol, price) => Number(price.toFixed(decimalsOf(symbol)));
