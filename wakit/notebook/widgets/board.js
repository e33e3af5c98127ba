/* The board: every session of the fleet in a table that moves.
 *
 * Theory of operation. The kernel sends {type: "all"} when asked ({type: "hello"}, which every view sends when it
 * renders) and {type: "changes"} after that; both are custom messages, which no saved notebook keeps. The synced trait
 * `opening` holds the table as it was when the widget was made: it is painted before the kernel has answered, and it is
 * all there is to paint where no kernel lives any more. `received` folds a message into the view's state; `paint` makes
 * the page say the same, touching only what differs and only the rows one sees, at most once a frame.
 */

import { downIn, minutesOf } from "./parts/hour.js";
import { COLUMNS, makeLine } from "./parts/line.js";
import { attend, element, say } from "./parts/page.js";
import { matches, sorted } from "./parts/rows.js";
import { announced, asOf, headline, opened, received, spoken } from "./parts/state.js";
import { dressed } from "./parts/theme.js";
import { tops, windowed } from "./parts/windowing.js";

const AROUND = 400; // px of rows above and below those one sees: the browser scrolls before it asks us
const DOING = { restart: ["restarting…", "restarted"], park: ["parking…", "parked"], resume: ["resuming…", "resumed"], pair: ["", ""] };

function render({ model, el, host, signal }) {
  let state = opened(model.get("opening"));
  let skew = 0; // the browser's clock less the kernel's, in ms
  let sort = { column: null, descending: false };
  let shown = []; // the rows that match, in order
  let stale = true; // `shown` is
  let frame = 0;
  let asked = 0;
  let current = null; // the session whose buttons Tab leads to
  let said = { mood: "", words: "", at: -Infinity };
  const lines = new Map(); // the rows that were made, by name
  const heights = new Map();
  const answers = new Map();
  const ended = new AbortController();
  signal?.addEventListener("abort", () => ended.abort());

  const status = element("p", { class: "wakit-headline" });
  const aloud = element("p", { class: "wakit-unseen", role: "status", "aria-live": "polite" });
  const age = element("span", { class: "wakit-age" });
  const search = element("input", {
    type: "search", class: "wakit-filter", placeholder: "Filter: name, reason, state=…, label=value",
    "aria-label": "Filter sessions", oninput: () => arrange(),
  });
  search.value = model.get("filter") ?? "";
  const choice = (label, options, attributes) => element("select", { "aria-label": label, ...attributes },
    ...options.map(([value, text]) => element("option", { value }, text)));
  const states = choice("Show sessions that are",
    [["", "All states"], ...["connected", "pending", "disconnected", "failed"].map((each) => [each, each])], { onchange: () => arrange() });
  const order = choice("Sort by", [["", "As declared"], ...COLUMNS],
    { class: "wakit-order", onchange: () => { sort = { column: order.value || null, descending: false }; arrange(); } });
  const heads = COLUMNS.map(([column, title]) =>
    element("th", { scope: "col", role: "columnheader", "data-column": column },
      element("button", { type: "button", class: "wakit-sort", onclick: () => sortBy(column) }, title)));
  const body = element("tbody", { role: "rowgroup" });
  const table = element("table", { role: "table" },
    element("caption", { class: "wakit-unseen" }, "WhatsApp sessions"),
    element("thead", { role: "rowgroup" }, element("tr", { role: "row", "aria-rowindex": 1 }, ...heads,
      element("th", { scope: "col", role: "columnheader", class: "wakit-actions" }, element("span", { class: "wakit-unseen" }, "Actions")))),
    body);
  const box = element("div", { class: "wakit-scroll", tabindex: "0", role: "region",
    "aria-label": "Sessions, scrollable. On a button, up and down lead to the next session." }, table);
  const none = element("p", { class: "wakit-none", hidden: "" });
  const drawer = element("div", { class: "wakit-drawer", hidden: "" });
  const root = element("section", { class: "wakit wakit-board", "aria-label": "wakit board" },
    element("header", {}, status, age, search, states, order), aloud, box, none, drawer);
  // Jupyter takes keys like Enter or "a" as commands unless the event stays in here.
  root.addEventListener("keydown", (event) => event.stopPropagation());
  body.addEventListener("keydown", step);
  body.addEventListener("focusin", (event) => { current = nameAt(event.target); for (const [name, line] of lines) line.enter(name === current); });
  box.addEventListener("scroll", () => schedule(), { passive: true });
  el.replaceChildren(root);
  const undress = dressed(root);

  function nameAt(node) {
    return node?.closest?.("tr")?.dataset.session ?? null;
  }

  function withFocus() {
    const node = root.getRootNode().activeElement;
    return body.contains(node) ? nameAt(node) : null;
  }

  function sortBy(column) {
    if (sort.column !== column) sort = { column, descending: false };
    else if (!sort.descending) sort = { column, descending: true };
    else sort = { column: null, descending: false };
    arrange();
  }

  /** Lead the focus to the same button of another row, which may not be in the page yet. */
  function step(event) {
    const action = event.target.dataset?.action;
    const here = shown.findIndex((row) => row.name === nameAt(event.target));
    const page = Math.max(1, Math.floor(box.clientHeight / 40));
    const to = { ArrowUp: here - 1, ArrowDown: here + 1, PageUp: here - page, PageDown: here + page, Home: 0, End: shown.length - 1 }[event.key];
    if (!action || here < 0 || to === undefined || lines.get(shown[here].name)?.asking) return;
    event.preventDefault();
    current = shown[Math.min(shown.length - 1, Math.max(0, to))].name;
    const line = show(current);
    (line.tr.querySelector(`[data-action=${action}]`) ?? line.tr.querySelector("button")).focus({ preventScroll: true });
    const head = table.tHead.offsetHeight; // it lies over the first row
    const { top, bottom } = line.tr.getBoundingClientRect();
    const seen = box.getBoundingClientRect();
    if (top < seen.top + head) box.scrollTop -= seen.top + head - top;
    else if (bottom > seen.bottom) box.scrollTop += bottom - seen.bottom;
  }

  function show(name) {
    paint(name);
    return lines.get(name);
  }

  function make(name) {
    const line = makeLine(name, (action) => send(name, action));
    lines.set(name, line);
    return line;
  }

  function send(name, action) {
    asked += 1;
    const id = `${asked}-${Math.random().toString(36).slice(2)}`; // unique among all views of the widget
    answers.set(id, { name, action });
    lines.get(name)?.tell(DOING[action][0]);
    model.send({ type: action, session: name, id });
  }

  function answered(message) {
    const asked = answers.get(message.id);
    if (!asked) return; // another view of this widget asked
    answers.delete(message.id);
    const words = message.error ?? DOING[asked.action][1];
    lines.get(asked.name)?.tell(words);
    if (words) say(aloud, `${asked.name}: ${words}`);
    if (message.widget) openDrawer(asked.name, message.widget);
    schedule();
  }

  async function openDrawer(name, reference) {
    const place = element("div");
    const gone = new AbortController();
    const shut = () => { gone.abort(); drawer.replaceChildren(); drawer.hidden = true; lines.get(name)?.tr.querySelector("button")?.focus(); };
    const close = element("button", { type: "button", class: "wakit-close", "aria-label": `Close pairing of ${name}`, onclick: shut }, "Close");
    ended.signal.addEventListener("abort", () => gone.abort());
    drawer.replaceChildren(close, place);
    drawer.hidden = false;
    if (!host?.getWidget) {
      say(place, `To pair ${name}, run fleet["${name}"].pair() in a cell.`);
      return;
    }
    const child = await host.getWidget(reference);
    await child.render({ el: place, signal: gone.signal });
    drawer.scrollIntoView({ block: "nearest" });
  }

  function paintAround(now) {
    const [mood, words] = headline(state);
    root.dataset.mood = mood;
    say(status, words);
    say(age, asOf(state));
    const next = announced(said, spoken(state), performance.now());
    if (next !== said) { said = next; say(aloud, said.words); }
    for (const th of heads) {
      const on = th.dataset.column === sort.column;
      if (on) th.setAttribute("aria-sort", sort.descending ? "descending" : "ascending");
      else th.removeAttribute("aria-sort");
    }
    order.value = sort.column ?? "";
    const down = (name) => downIn(minutesOf(state.past.get(name), now));
    shown = sorted([...state.rows.values()].filter((row) => matches(row, search.value, states.value)), sort.column, sort.descending, down);
    table.setAttribute("aria-rowcount", shown.length + 1);
    for (const name of [...lines.keys()]) if (!state.rows.has(name)) { lines.delete(name); heights.delete(name); }
    none.hidden = shown.length > 0;
    say(none, state.rows.size ? "No session matches the filter." : "No session is declared yet.");
  }

  /** Make the page say what is known; `also` names a row that has to be there, in sight or not. */
  function paint(also = null) {
    cancelAnimationFrame(frame);
    frame = 0;
    const now = state.link === "live" ? Date.now() - skew : state.now;
    if (stale) { paintAround(now); stale = false; }
    const focus = withFocus();
    const names = shown.map((row) => row.name);
    const kept = names.flatMap((name, row) => (name === focus || name === also || lines.get(name)?.asking ? [row] : []));
    const edges = tops(names, heights);
    const top = box.scrollTop;
    const plan = windowed(edges, top - AROUND, top + box.clientHeight + AROUND, kept);
    const live = Boolean(state.link === "live" && state.fleet?.reachable);
    const painted = [];
    const nodes = plan.map((item) => {
      if (typeof item === "object") {
        return element("tr", { class: "wakit-gap", "aria-hidden": "true" }, element("td", { colspan: COLUMNS.length + 1, style: `height:${item.gap}px` }));
      }
      const row = shown[item];
      const line = lines.get(row.name) ?? make(row.name);
      line.paint(now, item, row, state.past.get(row.name), live);
      painted.push([row.name, line]);
      return line.tr;
    });
    settle(nodes, lines.get(focus)?.tr);
    if (focus && !withFocus()) box.focus({ preventScroll: true }); // its row, or all it could do, is gone: stay near
    if (!painted.some(([name]) => name === current)) current = painted[0]?.[0] ?? null;
    for (const [name, line] of painted) line.enter(name === current);
    measure(painted);
  }

  /** Make these nodes the table's rows. What has the focus is not moved: a node that is moved loses it. */
  function settle(nodes, still) {
    const wanted = new Set(nodes);
    for (const node of [...body.children]) if (!wanted.has(node)) node.remove();
    const fixed = nodes.indexOf(still);
    for (let place = fixed - 1; place >= 0; place -= 1) {
      if (nodes[place].nextSibling !== nodes[place + 1]) body.insertBefore(nodes[place], nodes[place + 1]);
    }
    let before = nodes[fixed] ?? null;
    for (const node of nodes.slice(fixed + 1)) {
      const after = before ? before.nextSibling : body.firstChild;
      if (after !== node) body.insertBefore(node, after);
      before = node;
    }
  }

  function measure(painted) {
    let moved = false;
    for (const [name, line] of painted) {
      if (line.measured && heights.has(name)) continue;
      const height = line.height;
      if (height > 0 && heights.get(name) !== height) { heights.set(name, height); moved = true; }
    }
    if (moved) schedule(); // the gaps were guesses
  }

  function schedule() {
    if (!frame) frame = requestAnimationFrame(() => paint());
  }

  /** What is known, wanted or late has changed: put the rows in order anew, with the next frame. */
  function arrange() {
    stale = true;
    schedule();
  }

  const leave = attend(model, (message) => {
    if (message.type === "answer") return answered(message);
    if (typeof message.now === "number") skew = Date.now() - message.now;
    state = received(state, message);
    arrange();
  }, (link) => {
    state = { ...state, link };
    arrange();
  });
  const onFilter = () => { search.value = model.get("filter"); arrange(); };
  model.on("change:filter", onFilter);
  const clock = setInterval(() => { if (state.link === "live" && !document.hidden) arrange(); }, 1000);
  const widths = new ResizeObserver(() => { heights.clear(); schedule(); });
  widths.observe(box);
  paint();
  return () => {
    ended.abort();
    clearInterval(clock);
    cancelAnimationFrame(frame);
    model.off("change:filter", onFilter);
    widths.disconnect();
    undress();
    leave();
  };
}

export default { render };
