/* The board's rows as data: which are shown, and in what order. */

import { duration } from "./words.js";

export const SYMBOLS = { connected: "●", pending: "◌", disconnected: "◐", failed: "✕" };
const URGENCY = { failed: 0, disconnected: 1, pending: 2, connected: 3 };

/** Say when the next try is due, or that it is under way. */
export function nextTry(row, now) {
  const nth = row.attempt > 1 ? ` (try ${row.attempt})` : "";
  if (row.next === null) return row.attempt > 1 ? `try ${row.attempt}` : "";
  return row.next > now ? `in ${duration(row.next - now + 999)}${nth}` : `now${nth}`;
}

function holds(row, word) {
  const [key, value] = word.split("=", 2);
  if (value !== undefined) {
    // One label or the state, from its beginning on: "team=em" is on the way to "team=emea".
    const found = key === "state" || key === "status" ? [row.state, row.status] : [row.labels[key] ?? null];
    return found.some((each) => each !== null && each.toLowerCase().startsWith(value));
  }
  const labels = Object.entries(row.labels).map(([name, label]) => `${name}=${label}`);
  const texts = [row.name, row.state, row.state.replaceAll("_", " "), row.status, row.reason, row.account && `#${row.account}`, ...labels];
  return texts.join("\n").toLowerCase().includes(word);
}

/** True if the row has the status (any, if that is "") and every word of the filter holds for it. */
export function matches(row, filter, status = "") {
  if (status && row.status !== status) return false;
  return filter.toLowerCase().split(/\s+/).every((word) => !word || holds(row, word));
}

/** Order rows by a column; null keeps the declaration's order. Equal rows keep it too.
 *
 * `down` gives the milliseconds a session was down in the last hour.
 */
export function sorted(rows, column, descending, down = () => 0) {
  if (column === null) return rows;
  const key = {
    name: (row) => row.name,
    state: (row) => `${URGENCY[row.status]} ${row.state}`,
    seen: (row) => -(row.seen ?? -Infinity),
    since: (row) => -row.since, // "ascending" is the shortest time in its state
    hour: (row) => -down(row.name), // and the one that was down the longest
    reason: (row) => row.reason || "\uffff",
    next: (row) => row.next ?? Infinity,
    worker: (row) => row.worker ?? Infinity,
  }[column];
  const sign = descending ? -1 : 1;
  return rows
    .map((row) => [key(row), row])
    .sort(([a], [b]) => (a < b ? -sign : a > b ? sign : 0))
    .map(([, row]) => row);
}
