/* Pictures as one SVG path each: the QR of the pairing widget, the strip of the board. */

const SVG = "http://www.w3.org/2000/svg";
const QUIET = 4; // modules of white around a QR

/** Make an SVG element. */
export function drawn(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Draw the dark modules of a QR as one path: a run of dark modules in a row is one bar. */
export function pathOf(rows, quiet = QUIET) {
  const bars = [];
  rows.forEach((row, y) => {
    for (const run of row.matchAll(/1+/g)) {
      const width = run[0].length;
      bars.push(`M${run.index + quiet} ${y + quiet}h${width}v1h-${width}z`);
    }
  });
  return bars.join("");
}

/** Whole pixels a module, at least 4: cameras lose smaller ones, and fractions blur the edges. */
export function moduleSize(modules, room) {
  return Math.max(4, Math.floor(room / (modules + 2 * QUIET)));
}

/** Draw a QR: black on white under every theme, because many cameras fail on the inverse. */
export function qr(rows, room, label) {
  const side = rows.length + 2 * QUIET;
  const pixels = moduleSize(rows.length, room) * side;
  return drawn("svg",
    { viewBox: `0 0 ${side} ${side}`, width: pixels, height: pixels, role: "img", "aria-label": label, "shape-rendering": "crispEdges", class: "wakit-qr" },
    drawn("rect", { width: "100%", height: "100%", fill: "#fff" }),
    drawn("path", { d: pathOf(rows), fill: "#000" }));
}
