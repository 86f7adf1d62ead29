// An event in a few words.

import { clockText, masked, timeText } from "../common/display.js";
import { decimal, money, readable, signed } from "../common/format.js";
import { priceText } from "../common/prices.js";

const BY_TYPE = {
  status: (p) => [p.status, p.reason === p.status ? "" : p.reason, readable(p.error ?? "")].filter(Boolean).join(" · "),
  control: (p) => `${p.action} ${Object.entries(p.args ?? {}).map(([name, value]) => `${name} ${value}`).join(", ")}`,
  candle: ({ symbol, timeframe, candle }) =>
    `${symbol} ${timeframe} ${clockText(candle.openTimeMs)} close ${priceText(symbol, candle.close)}, volume ${decimal(candle.volume)}`,
  gap: (p) => `${p.symbol}: ${p.missing} missing from ${timeText(p.fromMs)} to ${timeText(p.toMs)}`,
  signal: (p) => `${p.symbol} ${p.direction} · ${p.reason}`,
  order: (p) => `#${p.orderId} ${p.side} ${p.symbol} ${p.type} ${p.status}${p.reason ? ` · ${p.reason}` : ""}`,
  fill: (p) => `${p.side} ${decimal(p.qty)} ${p.symbol} at ${priceText(p.symbol, p.price)}, fee ${decimal(p.fee)}`,
  funding: (p) => `${p.symbol} ${signed(-p.amount)} for ${decimal(p.qty)} at ${priceText(p.symbol, p.price)}`,
  interest: (p) => `${signed(-p.amount)} for ${decimal(p.borrowedCash)} borrowed and ${decimal(p.shortValue)} short`,
  trade: (p) => `${p.side} ${p.symbol} ${signed(p.netPnl)} · ${priceText(p.symbol, p.entryPrice)} to ${priceText(p.symbol, p.exitPrice)}, ${p.holdBars} candles`,
  equity: (p) => `${money(p.equity)}, drawdown ${p.drawdownPct.toFixed(2)} %`,
  log: (p) => p.message,
  plot: (p) => `${p.name} ${decimal(p.value)}`,
};

/** Describe an event. One that was appended by hand may have any payload, which is shown as JSON. */
export function describe({ type, payload }) {
  try {
    return masked(BY_TYPE[type]?.(payload) ?? JSON.stringify(payload));
  } catch {
    return masked(JSON.stringify(payload));
  }
}
