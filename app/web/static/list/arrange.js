// Which sessions the list shows, in which order, and which of them are folded into one row.

const LEAST_FOLDED = 3;

const text = (session) => session.name ?? session.symbols.join(" ");
const pct = (session) => session.progress?.pct ?? -1;

const ORDERS = {
  newest: null,
  name: (a, b) => text(a).localeCompare(text(b)),
  status: (a, b) => a.status.localeCompare(b.status),
  progress: (a, b) => pct(b) - pct(a),
};

/** The sessions whose name, id, symbols, profile or tags contain all words. */
export function matching(sessions, words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  return sessions.filter((session) => {
    const about = [session.name, session.id, session.profileSlug, session.timeframe, ...session.symbols, ...session.tags].join(" ").toLowerCase();
    return wanted.every((word) => about.includes(word));
  });
}

/** The sessions in an order; `resultOf(session)` is the gain in percent, null if it is unknown. */
export function ordered(sessions, order, resultOf) {
  const gain = (session) => resultOf(session) ?? -Infinity;
  const compare = order === "result" ? (a, b) => gain(b) - gain(a) || 0 : ORDERS[order];
  return compare ? [...sessions].sort(compare) : sessions;
}

/**
 * The entries of the list: `{session}`, or `{sweep, sessions}` for the runs of a sweep, at the place of its first one.
 * A sweep is a tag that several unpaced sessions without candles in their log share.
 */
export function folded(sessions) {
  const runs = grouped(sessions);
  const seen = new Set();
  return sessions.flatMap((session) => {
    const tag = sweepOf(session);
    const members = tag === null ? [] : runs.get(tag);
    if (members.length < LEAST_FOLDED) return [{ session }];
    if (seen.has(tag)) return [];
    seen.add(tag);
    return [{ sweep: tag, sessions: members }];
  });
}

const sweepOf = ({ record, replayMsPerCandle, tags }) => (record === "trades" && replayMsPerCandle === 0 && tags.length ? tags[0] : null);

function grouped(sessions) {
  const groups = new Map();
  for (const session of sessions) groups.set(sweepOf(session), [...(groups.get(sweepOf(session)) ?? []), session]);
  return groups;
}
