/* The last hour of a session, minute by minute. `past.py` counts it; here it is carried on to now, drawn and told.
 *
 * An hour is {kind, at, troubled, minutes}: what the session has been since `at`, and for each minute up to then
 * [minute since 1970, the worst it was, ms it was down, how often it went down]. A kind is a status, or "off" for what
 * nobody wants to run, or "none" where no daemon ran.
 */

import { duration, times } from "./words.js";

export const MINUTES = 60;
const MINUTE = 60_000;
const RANK = { none: 0, off: 1, connected: 2, pending: 3, disconnected: 4, failed: 5 };
const WIDTH = 2; // pixels a minute
// Up is above the line, trouble below it, and the worse the deeper: no colour is needed to read it.
const BARS = { connected: [3, 5], pending: [5.5, 2.5], off: [7.5, 1], disconnected: [8, 4], failed: [8, 8] };

/** Put what the kernel told of an hour to what is known of it. */
export function merged(old, told) {
  if (told.whole || !old) return told;
  const [first] = told.minutes[0];
  return { ...told, minutes: [...old.minutes.filter(([minute]) => minute < first), ...told.minutes] };
}

/** Carry an hour on to `now`: its last 60 minutes, the one under way included. Without an hour, nothing is known. */
export function minutesOf(hour, now) {
  const last = Math.floor(now / MINUTE);
  const known = new Map(hour?.minutes.map((each) => [each[0], each]));
  const down = hour && (["disconnected", "failed"].includes(hour.kind) || (hour.troubled && ["pending", "none"].includes(hour.kind)));
  return Array.from({ length: MINUTES }, (_, place) => {
    const minute = last - MINUTES + 1 + place;
    const [, worst, ms, losses] = known.get(minute) ?? [minute, "none", 0, 0];
    if (!hour || (minute + 1) * MINUTE <= hour.at) return [minute, worst, ms, losses];
    const more = Math.max(0, Math.min(now, (minute + 1) * MINUTE) - Math.max(hour.at, minute * MINUTE));
    return [minute, RANK[hour.kind] > RANK[worst] ? hour.kind : worst, ms + (down ? more : 0), losses];
  });
}

/** Milliseconds of these minutes in which the session was down. */
export function downIn(minutes) {
  return minutes.reduce((sum, [, , ms]) => sum + ms, 0);
}

/** Tell these minutes in words. */
export function told(minutes) {
  const down = downIn(minutes);
  const was = (...kinds) => minutes.filter(([, worst]) => kinds.includes(worst)).length;
  const [, , atFirst, lossesAtFirst] = minutes[0];
  const often = minutes.reduce((sum, [, , , losses]) => sum + losses, atFirst && !lossesAtFirst ? 1 : 0);
  const blank = was("none");
  if (blank === MINUTES) return "nothing is known of the last hour";
  if (down > (MINUTES - 1) * MINUTE) return "down for all of the last hour";
  if (down) return `down ${times(often)} in the last hour, ${duration(down)}`;
  if (was("connected") === MINUTES) return "connected for all of the last hour";
  if (was("connected")) return "never down in the last hour";
  return was("off") ? "off on purpose" : "not connected in the last hour";
}

/** Draw these minutes as one path for each kind: {kind: d}. A run of minutes of one kind is one bar. */
export function bars(minutes) {
  const paths = {};
  for (let from = 0, to = 0; from < minutes.length; from = to) {
    const [, kind] = minutes[from];
    while (to < minutes.length && minutes[to][1] === kind) to += 1;
    if (!BARS[kind]) continue;
    const [y, height] = BARS[kind];
    const width = (to - from) * WIDTH;
    paths[kind] = `${paths[kind] ?? ""}M${from * WIDTH} ${y}h${width}v${height}h-${width}z`;
  }
  return paths;
}
