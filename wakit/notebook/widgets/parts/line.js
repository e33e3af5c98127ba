/* One session's row in the page: made once, painted when what it says differs. */

import { drawn } from "./drawing.js";
import { bars, minutesOf, told } from "./hour.js";
import { element, say } from "./page.js";
import { nextTry, SYMBOLS } from "./rows.js";
import { duration } from "./words.js";

export const COLUMNS = [
  ["name", "Session"],
  ["state", "State"],
  ["since", "Since"],
  ["hour", "Last hour"],
  ["seen", "Last heard"],
  ["reason", "Reason"],
  ["next", "Next try"],
  ["worker", "Worker"],
];
const ACTIONS = {
  pair: ["Pair", (row) => row.paired && `Link ${row.name} anew? A phone has to scan or type again.`],
  restart: ["Restart", (row) => `Restart ${row.name}? It is offline for a moment.`],
  park: ["Park", (row) => `Park ${row.name}? It stays offline until somebody resumes it.`],
  resume: ["Resume", () => ""],
};

/** Which actions a row has. One that is parked in the file is started there, too. */
function offers(row) {
  if (!row.enabled) return [];
  return row.state === "parked" ? ["resume"] : ["pair", "restart", "park"];
}

let made = 0; // for ids that are unique among all boards of a page

function strip() {
  const paths = Object.fromEntries(["connected", "pending", "disconnected", "failed", "off"]
    .map((kind) => [kind, drawn("path", { class: `wakit-was-${kind}`, d: "" })]));
  const svg = drawn("svg", { class: "wakit-hour", viewBox: "0 0 120 16", width: 120, height: 16, role: "img", "aria-label": "", "shape-rendering": "crispEdges" },
    drawn("path", { class: "wakit-axis", d: "M0 8h120" }), ...Object.values(paths));
  return [svg, paths];
}

/** Make the row of a session. `act(action)` carries out what was asked for, and confirmed where it hurts. */
export function makeLine(name, act) {
  const cells = Object.fromEntries(COLUMNS.map(([column, title]) =>
    [column, element(column === "name" ? "th" : "td", {
      "data-column": column, "data-title": title,
      role: column === "name" ? "rowheader" : "cell", scope: column === "name" ? "row" : null,
    })]));
  const label = element("span", { class: "wakit-name" }, name);
  const tags = element("span", { class: "wakit-labels" });
  cells.name.append(label, tags);
  const mark = element("span", { class: "wakit-mark", "aria-hidden": "true" });
  const word = element("span");
  cells.state.append(mark, word);
  const [svg, paths] = strip();
  cells.hour.append(svg);
  const actions = element("td", { class: "wakit-actions", role: "cell" });
  const tr = element("tr", { role: "row", "data-session": name }, ...COLUMNS.map(([column]) => cells[column]), actions);
  let row = null;
  let hour = null;
  let second = 0;
  let live = false;
  let reachable = false; // by Tab
  let offered = "";
  let note = "";
  let asking = null;
  let measured = false;

  function button(action, onclick, attributes, text) {
    return element("button", { type: "button", "data-action": action, onclick: () => { if (live) onclick(); }, ...attributes }, text);
  }

  /** The action whose button has the focus, if it is one of ours. */
  function focused() {
    const node = tr.getRootNode().activeElement;
    return actions.contains(node) ? node.dataset.action : null;
  }

  function replace(...nodes) {
    actions.replaceChildren(...nodes);
    measured = false;
    dress();
  }

  /** Buttons that do nothing now keep their place and the focus; only what they are is said. */
  function dress() {
    for (const each of actions.querySelectorAll("button")) {
      each.tabIndex = reachable || asking ? 0 : -1;
      if (live) each.removeAttribute("aria-disabled");
      else each.setAttribute("aria-disabled", "true");
    }
  }

  function offer() {
    const had = focused();
    asking = null;
    const names = offers(row);
    offered = names.join();
    replace(...names.map((action) => button(action, () => begin(action), { "aria-label": `${ACTIONS[action][0]} ${name}` }, ACTIONS[action][0])),
      element("span", { class: "wakit-note" }, note));
    if (had) (actions.querySelector(`[data-action=${had}]`) ?? actions.querySelector("button"))?.focus();
  }

  function begin(action) {
    const question = ACTIONS[action][1](row);
    if (question) confirm(action, question);
    else act(action);
  }

  function confirm(action, question) {
    made += 1;
    const id = `wakit-question-${made}`;
    const no = element("button", { type: "button", "data-action": action, "aria-describedby": id, onclick: offer }, "No");
    asking = action;
    replace(element("span", { id }, question),
      button(action, () => { offer(); act(action); }, { class: "wakit-danger", "aria-describedby": id }, `Yes, ${action}`), no);
    no.focus(); // the harmless one: Enter on a surprise must not hurt
  }

  actions.addEventListener("keydown", (event) => { if (event.key === "Escape" && asking) offer(); });

  function paintHour(minutes) {
    const drawnBars = bars(minutes);
    for (const [kind, path] of Object.entries(paths)) {
      const d = drawnBars[kind] ?? "";
      if (path.getAttribute("d") !== d) path.setAttribute("d", d);
    }
    const words = told(minutes);
    svg.setAttribute("aria-label", words);
    cells.hour.title = words;
  }

  return {
    tr,
    get asking() { return asking; },
    /** True until `height` was asked for after a change that may have moved it. */
    get measured() { return measured; },
    get height() { measured = true; return tr.getBoundingClientRect().height; },

    paint(now, place, rowNow, hourNow, liveNow) {
      // While one scrolls, most rows say what they said in the frame before.
      if (row === rowNow && hour === hourNow && live === liveNow && second === Math.floor(now / 1000) && tr.ariaRowIndex === String(place + 2)) return;
      const words = tr.textContent.length;
      if (tr.ariaRowIndex !== String(place + 2)) tr.setAttribute("aria-rowindex", place + 2); // the head is the first
      if (row !== rowNow) {
        row = rowNow;
        tr.dataset.status = row.status;
        const labels = Object.entries(row.labels).map(([key, value]) => `${key}=${value}`);
        if (tags.dataset.said !== [...labels, row.account].join()) {
          tags.dataset.said = [...labels, row.account].join();
          tags.replaceChildren(...labels.map((each) => element("span", { class: "wakit-label" }, each)));
          if (row.account) tags.append(element("span", { class: "wakit-account", title: "The account, as a keyed hash: the same in the journal" }, `#${row.account.slice(0, 8)}`));
        }
        say(mark, SYMBOLS[row.status] ?? "?");
        say(word, row.state.replaceAll("_", " ") + (row.stale ? " (stale)" : ""));
        say(cells.reason, row.reason);
        cells.reason.title = row.reason;
        cells.since.title = new Date(row.since).toISOString();
        say(cells.worker, row.worker === null ? "" : String(row.worker));
      }
      say(cells.since, duration(now - row.since));
      say(cells.seen, row.seen ? `${duration(now - row.seen)} ago` : "");
      say(cells.next, nextTry(row, now));
      if (hour !== hourNow || Math.floor(second / 60) !== Math.floor(now / 60_000)) {
        hour = hourNow;
        paintHour(minutesOf(hour, now));
      }
      second = Math.floor(now / 1000);
      if (live !== liveNow) { live = liveNow; dress(); }
      if (!asking && offered !== offers(row).join()) offer();
      if (tr.textContent.length !== words) measured = false;
    },

    /** Say what became of an order. */
    tell(words) {
      note = words;
      if (!asking) offer();
    },

    /** Whether Tab leads here; in the others, the arrow keys do. */
    enter(on) {
      if (reachable !== on) { reachable = on; dress(); }
    },
  };
}
