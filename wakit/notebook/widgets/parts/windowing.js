/* Which rows of a long table are in the page. 500 rows cost a second; the twenty one sees and some around them do not.
 *
 * Rows may have different heights. What was measured is kept; the others are taken to be as high as those on average.
 */

const GUESS = 34; // px, before anything was measured

/** Where each row begins, and where the last one ends: one more number than there are rows. */
export function tops(names, heights) {
  let known = 0;
  let sum = 0;
  for (const name of names) {
    const height = heights.get(name);
    if (height !== undefined) { known += 1; sum += height; }
  }
  const guess = known ? sum / known : GUESS;
  const found = [0];
  for (const name of names) found.push(found.at(-1) + (heights.get(name) ?? guess));
  return found;
}

function rowAt(edges, y) {
  let low = 0;
  let high = edges.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (edges[middle] <= y) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}

/** What to put into the page for the pixels `from` to `to`: row numbers, and {gap: px} for what is left out.
 *
 * The rows in `kept` are there wherever they are: the one with the focus must not vanish because one scrolls.
 */
export function windowed(edges, from, to, kept = []) {
  const count = edges.length - 1;
  if (count < 1) return [];
  const first = rowAt(edges, from);
  const last = rowAt(edges, to);
  const wanted = new Set(kept.filter((row) => row >= 0 && row < count));
  for (let row = first; row <= last; row += 1) wanted.add(row);
  const plan = [];
  let next = 0;
  for (const row of [...wanted].sort((a, b) => a - b)) {
    if (row > next) plan.push({ gap: edges[row] - edges[next] });
    plan.push(row);
    next = row + 1;
  }
  if (next < count) plan.push({ gap: edges[count] - edges[next] });
  return plan;
}
