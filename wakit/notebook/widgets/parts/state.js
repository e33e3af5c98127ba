/* What a view of the board knows, and what it says about that. */

import { merged } from "./hour.js";

const HUSH = 10_000; // ms between two things said aloud that can wait

/** The state of a view that has only the opening trait. */
export function opened(opening) {
  const { fleet = null, rows = [], now = 0, past = {} } = opening ?? {};
  return { fleet, now, rows: new Map(rows.map((row) => [row.name, row])), past: new Map(Object.entries(past)), link: "asking" };
}

/** Fold a message of the kernel into the state. */
export function received(state, message) {
  if (message.type === "all") return { ...opened(message), link: "live" };
  if (message.type !== "changes" || state.link !== "live") return state; // "all" is on its way and says it too
  const rows = new Map(state.rows);
  const past = new Map(state.past);
  for (const row of message.rows) rows.set(row.name, row);
  for (const [name, told] of Object.entries(message.past ?? {})) past.set(name, merged(past.get(name), told));
  for (const name of message.gone) { rows.delete(name); past.delete(name); }
  const ordered = message.order ? new Map(message.order.map((name) => [name, rows.get(name)])) : rows;
  return { ...state, fleet: message.fleet ?? state.fleet, rows: ordered, past };
}

/** What the status line says, and how urgent it is. */
export function headline(state) {
  const { fleet, link, rows } = state;
  if (link === "stale") {
    return ["stale", "Not live: the kernel was restarted or is gone. Run the cell again to go on from here."];
  }
  if (link === "silent") {
    return ["stale", "No answer from the kernel yet: it is busy, or it is another one. If this stays, run the cell again."];
  }
  if (fleet === null) return ["busy", "Waiting for the kernel…"];
  if (!fleet.reachable) {
    const why = fleet.trouble ? ` (${fleet.trouble})` : "";
    return ["gone", `The daemon does not answer${why}. What is shown is what was last known. Start it with \`wakit up -d\`; the board goes on by itself.`];
  }
  if (fleet.error) {
    return ["warn", `sessions.toml as it is now is not in force: ${fleet.error}${fleet.hint ? `. ${fleet.hint}` : ""}`];
  }
  const counts = counted(rows);
  const sum = counts.length ? counts.map(([status, n]) => `${n} ${status}`).join(", ") : "no sessions declared";
  return [counts.some(([status]) => status === "failed") ? "warn" : "ok", fleet.converged ? `${sum}; as declared` : sum];
}

function counted(rows) {
  const counts = { connected: 0, pending: 0, disconnected: 0, failed: 0 };
  for (const row of rows.values()) counts[row.status] += 1;
  return Object.entries(counts).filter(([, n]) => n);
}

/** The same for who listens, in few words. */
export function spoken(state) {
  const [mood] = headline(state);
  switch (mood) {
    case "stale": return [mood, "This board is old: its kernel is gone, or busy."];
    case "gone": return [mood, "No contact with the daemon. The board goes on by itself when it is back."];
    case "busy": return [mood, ""];
    default:
      if (state.fleet.error) return [mood, "sessions.toml has an error, and the one before is in force."];
      return [mood, counted(state.rows).map(([status, n]) => `${status}: ${n}`).join(", ") || "no sessions"];
  }
}

/** Say a snapshot's age in words for what is not live. */
export function asOf(state) {
  return state.link === "live" || !state.now ? "" : `as of ${new Date(state.now).toLocaleString()}`;
}

/** What a screen reader is to hear now: {mood, words, at}; the very `last` if it is nothing new, or can wait.
 *
 * That nothing is live any more, or is again, is said at once. Counts change all the time in a large fleet: the newest
 * are said, at most every ten seconds.
 */
export function announced(last, [mood, words], now) {
  if (words === last.words) return last;
  const turned = ["gone", "stale"].includes(mood) !== ["gone", "stale"].includes(last.mood);
  return turned || now - last.at >= HUSH ? { mood, words, at: now } : last;
}
