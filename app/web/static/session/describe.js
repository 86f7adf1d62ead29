// An event in a few words.

import { decimal, money, readable, signed, utc } from "../common/format.js";

const BY_TYPE = {
  status: (p) => [p.status, p.reason === p.status ? "" : p.reason, readable(p.error ?? "")].filter(Boolean).join(" · "),
  control: (p) => `${p.action} ${Object.entries(p.args ?? {}).map(([name, value]) => `${name} ${value}`).join(", ")}`,
  candle: ({ symbol, timeframe, candle }) =>
    `${symbol} ${timeframe} ${utc(candle.openTimeMs).slice(11)} close ${decimal(candle.close)}, volume ${decimal(candle.volume)}`,
  gap: (p) => `${p.symbol}: ${p.missing} missing from ${utc(p.fromMs)} to ${utc(p.toMs)}`,
  signal: (p) => `${p.symbol} ${p.direction} · ${p.reason}`,
  order: (p) => `#${p.orderId} ${p.side} ${p.symbol} ${p.type} ${p.status}${p.reason ? ` · ${p.reason}` : ""}`,
  fill: (p) => `${p.side} ${decimal(p.qty)} ${p.symbol} at ${decimal(p.price)}, fee ${decimal(p.fee)}`,
  funding: (p) => `${p.symbol} ${signed(-p.amount)} for ${decimal(p.qty)} at ${decimal(p.price)}`,
  interest: (p) => `${signed(-p.amount)} for ${decimal(p.borrowedCash)} borrowed and ${decimal(p.shortValue)} short`,
  trade: (p) => `${p.side} ${p.symbol} ${signed(p.netPnl)} · ${decimal(p.entryPrice)} to ${decimal(p.exitPrice)}, ${p.holdBars} candles`,
  equity: (p) => `${money(p.equity)}, drawdown ${p.drawdownPct.toFixed(2)} %`,
  log: (p) => p.message,
  plot: (p) => `${p.name} ${decimal(p.value)}`,
};

/** Describe an event. One that was appended by hand may have any payload, which is shown as JSON. */
export function describe({ type, payload }) {
  try {
    return BY_TYPE[type]?.(payload) ?? JSON.stringify(payload);
  } catch {
    return JSON.stringify(payload);
  }
}
