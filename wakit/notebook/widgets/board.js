/* The board: every session of the fleet in a table that moves.
 *
 * Theory of operation. The kernel sends {type: "all"} when asked ({type: "hello"}, which every view sends when it
 * renders) and {type: "changes"} after that; both are custom messages, which no saved notebook keeps. The synced trait
 * `opening` holds the table as it was when the widget was made: it is painted before the kernel has answered, and it is
 * all there is to paint where no kernel lives any more. `received` folds a message into the view's state; `paint` makes
 * the DOM say the same, touching only what differs, at most once a frame. All text goes in as textContent.
 */

export const SYMBOLS = { connected: "●", pending: "◌", disconnected: "◐", failed: "✕" };
const URGENCY = { failed: 0, disconnected: 1, pending: 2, connected: 3 };
const COLUMNS = [
  ["name", "Session"],
  ["state", "State"],
  ["since", "Since"],
  ["seen", "Last heard"],
  ["reason", "Reason"],
  ["next", "Next try"],
  ["worker", "Worker"],
];
const PATIENCE = 4000; // ms without an answer from the kernel before the view says so

/** Say a length of time in at most two units. */
export function duration(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return m < 10 ? `${m} min ${s % 60} s` : `${m} min`;
  const h = Math.floor(m / 60);
  if (h < 48) return `${h} h ${m % 60} min`;
  return `${Math.floor(h / 24)} d ${h % 24} h`;
}

/** Say when the next try is due, or that it is under way. */
export function nextTry(row, now) {
  const nth = row.attempt > 1 ? ` (try ${row.attempt})` : "";
  if (row.next === null) return row.attempt > 1 ? `try ${row.attempt}` : "";
  return row.next > now ? `in ${duration(row.next - now + 999)}${nth}` : `now${nth}`;
}

/** True if every word of the filter occurs in the row. */
export function matches(row, filter) {
  const labels = Object.entries(row.labels).map(([key, value]) => `${key}=${value}`);
  const text = [row.name, row.state, row.status, row.reason, ...labels].join("\n").toLowerCase();
  return filter.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** Order rows by a column; null keeps the declaration's order. Equal rows keep it too. */
export function sorted(rows, column, descending) {
  if (column === null) return rows;
  const key = {
    name: (row) => row.name,
    state: (row) => `${URGENCY[row.status]} ${row.state}`,
    seen: (row) => -(row.seen ?? -Infinity),
    since: (row) => -row.since, // "ascending" is the shortest time in its state
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

/** The state of a view that has only the opening trait. */
export function opened(opening) {
  const { fleet = null, rows = [], now = 0 } = opening ?? {};
  return { fleet, now, rows: new Map(rows.map((row) => [row.name, row])), link: "asking" };
}

/** Fold a message of the kernel into the state. */
export function received(state, message) {
  if (message.type === "all") {
    return { ...opened(message), link: "live" };
  }
  if (message.type !== "changes" || state.link !== "live") return state; // "all" is on its way and says it too
  const rows = new Map(state.rows);
  for (const row of message.rows) rows.set(row.name, row);
  for (const name of message.gone) rows.delete(name);
  const ordered = message.order ? new Map(message.order.map((name) => [name, rows.get(name)])) : rows;
  return { ...state, fleet: message.fleet ?? state.fleet, rows: ordered };
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
  const counts = { connected: 0, pending: 0, disconnected: 0, failed: 0 };
  for (const row of rows.values()) counts[row.status] += 1;
  const said = Object.entries(counts).filter(([, n]) => n).map(([status, n]) => `${n} ${status}`);
  const sum = said.length ? said.join(", ") : "no sessions declared";
  return [counts.failed ? "warn" : "ok", fleet.converged ? `${sum}; as declared` : sum];
}

/** Say a snapshot's age in words for what is not live. */
function asOf(state) {
  return state.link === "live" || !state.now ? "" : `as of ${new Date(state.now).toLocaleString()}`;
}

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Write only what differs: an unchanged text node keeps the reader's selection and costs nothing. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function render({ model, el, host, signal }) {
  let state = opened(model.get("opening"));
  let skew = 0; // the browser's clock less the kernel's, in ms
  let sort = { column: null, descending: false };
  let filter = model.get("filter") ?? "";
  let frame = 0;
  let patience = 0;
  let asked = 0;
  const lines = new Map();
  const answers = new Map();
  const ended = new AbortController();
  signal?.addEventListener("abort", () => ended.abort());

  const status = element("p", { class: "wakit-headline", role: "status", "aria-live": "polite" });
  const age = element("span", { class: "wakit-age" });
  const search = element("input", {
    type: "search",
    class: "wakit-filter",
    placeholder: "Filter: name, state, reason, label=value",
    "aria-label": "Filter sessions",
    oninput: () => { filter = search.value; schedule(); },
  });
  search.value = filter;
  const heads = COLUMNS.map(([column, title]) =>
    element("th", { scope: "col", "data-column": column },
      element("button", { type: "button", class: "wakit-sort", onclick: () => sortBy(column) }, title)));
  const body = element("tbody");
  const none = element("p", { class: "wakit-none", hidden: "" });
  const table = element("table", {},
    element("caption", { class: "wakit-unseen" }, "WhatsApp sessions"),
    element("thead", {}, element("tr", {}, ...heads,
      element("th", { scope: "col" }, element("span", { class: "wakit-unseen" }, "Actions")))),
    body);
  const drawer = element("div", { class: "wakit-drawer", hidden: "" });
  const root = element("section", { class: "wakit-board", "aria-label": "wakit board" },
    element("header", {}, status, age, search),
    element("div", { class: "wakit-scroll", tabindex: "0", role: "region", "aria-label": "Sessions, scrollable" }, table),
    none, drawer);
  // Jupyter takes keys like Enter or "a" as commands unless the event stays in here.
  root.addEventListener("keydown", (event) => event.stopPropagation());
  el.replaceChildren(root);

  function sortBy(column) {
    if (sort.column !== column) sort = { column, descending: false };
    else if (!sort.descending) sort = { column, descending: true };
    else sort = { column: null, descending: false };
    schedule();
  }

  function line(name) {
    const cells = Object.fromEntries(COLUMNS.map(([column]) => [column, element("td", { "data-column": column })]));
    const header = element("th", { scope: "row", "data-column": "name" });
    const label = element("span", { class: "wakit-name" });
    const tags = element("span", { class: "wakit-labels" });
    header.append(label, tags);
    cells.name = header;
    const mark = element("span", { class: "wakit-mark", "aria-hidden": "true" });
    const word = element("span");
    cells.state.append(mark, word);
    const actions = element("td", { class: "wakit-actions" });
    const tr = element("tr", {}, ...COLUMNS.map(([column]) => cells[column]), actions);
    const made = { tr, cells, label, tags, mark, word, actions, row: null, note: "", asking: null };
    offer(name, made);
    lines.set(name, made);
    return made;
  }

  function offer(name, made) {
    made.asking = null;
    made.actions.replaceChildren(
      element("button", { type: "button", "data-action": "pair", "aria-label": `Pair ${name}`, onclick: () => {
        const row = state.rows.get(name);
        if (row.paired) confirm(name, made, "pair", `Link ${name} anew? A phone has to scan or type again.`);
        else order(name, made, "pair");
      } }, "Pair"),
      element("button", { type: "button", "data-action": "restart", "aria-label": `Restart ${name}`,
        onclick: () => confirm(name, made, "restart", `Restart ${name}? It is offline for a moment.`) }, "Restart"),
      element("span", { class: "wakit-note", role: "status" }, made.note));
  }

  function confirm(name, made, action, question) {
    const back = () => { offer(name, made); made.actions.querySelector(`[data-action=${action}]`).focus(); };
    const no = element("button", { type: "button", onclick: back }, "No");
    made.asking = action;
    made.actions.replaceChildren(
      element("span", { role: "alert" }, question),
      element("button", { type: "button", class: "wakit-danger", onclick: () => { order(name, made, action); } },
        `Yes, ${action}`), no);
    made.actions.onkeydown = (event) => { if (event.key === "Escape" && made.asking) back(); };
    no.focus(); // the harmless one: Enter on a surprise must not hurt
  }

  function order(name, made, action) {
    asked += 1;
    const id = `${asked}-${Math.random().toString(36).slice(2)}`; // unique among all views of the widget
    answers.set(id, { name, action });
    made.note = action === "restart" ? "restarting…" : "";
    offer(name, made);
    made.actions.querySelector(`[data-action=${action}]`).focus();
    model.send({ type: action, session: name, id });
  }

  function answered(message) {
    const order = answers.get(message.id);
    if (!order) return; // another view of this widget asked
    answers.delete(message.id);
    const made = lines.get(order.name);
    if (made) {
      made.note = message.error ?? (order.action === "restart" ? "restarted" : "");
      if (!made.asking) offer(order.name, made);
    }
    if (message.widget) openDrawer(order.name, message.widget);
  }

  async function openDrawer(name, reference) {
    const place = element("div");
    const close = element("button", { type: "button", class: "wakit-close", "aria-label": `Close pairing of ${name}`,
      onclick: () => { gone.abort(); drawer.replaceChildren(); drawer.hidden = true; } }, "Close");
    const gone = new AbortController();
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

  function paintRow(made, row, now) {
    if (made.row !== row) {
      made.row = row;
      made.tr.dataset.status = row.status;
      made.tr.dataset.session = row.name;
      say(made.label, row.name);
      const tags = Object.entries(row.labels).map(([key, value]) => `${key}=${value}`);
      made.tags.replaceChildren(...tags.map((tag) => element("span", { class: "wakit-label" }, tag)));
      say(made.mark, SYMBOLS[row.status] ?? "?");
      say(made.word, row.state.replaceAll("_", " ") + (row.stale ? " (stale)" : ""));
      say(made.cells.reason, row.reason);
      made.cells.reason.title = row.reason;
      say(made.cells.worker, row.worker === null ? "" : String(row.worker));
    }
    say(made.cells.since, duration(now - row.since));
    say(made.cells.seen, row.seen ? `${duration(now - row.seen)} ago` : "");
    say(made.cells.next, nextTry(row, now));
  }

  function paint() {
    frame = 0;
    const now = state.link === "live" ? Date.now() - skew : state.now;
    const [mood, words] = headline(state);
    root.dataset.mood = mood;
    say(status, words);
    say(age, asOf(state));
    for (const th of heads) {
      const on = th.dataset.column === sort.column;
      if (on) th.setAttribute("aria-sort", sort.descending ? "descending" : "ascending");
      else th.removeAttribute("aria-sort");
    }
    const rows = sorted([...state.rows.values()].filter((row) => matches(row, filter)), sort.column, sort.descending);
    for (const name of lines.keys()) if (!state.rows.has(name)) lines.delete(name);
    rows.forEach((row, place) => {
      const made = lines.get(row.name) ?? line(row.name);
      paintRow(made, row, now);
      if (body.children[place] !== made.tr) body.insertBefore(made.tr, body.children[place] ?? null);
    });
    while (body.children.length > rows.length) body.lastElementChild.remove();
    const live = state.link === "live" && state.fleet?.reachable;
    for (const button of body.querySelectorAll(".wakit-actions button")) button.disabled = !live;
    none.hidden = rows.length > 0;
    say(none, state.rows.size ? "No session matches the filter." : "No session is declared yet.");
  }

  function schedule() {
    if (!frame) frame = requestAnimationFrame(paint);
  }

  function ask() {
    clearTimeout(patience);
    patience = setTimeout(() => {
      if (state.link === "asking") { state = { ...state, link: "silent" }; schedule(); }
    }, PATIENCE);
    model.send({ type: "hello" });
  }

  function onMessage(message) {
    if (message.type === "answer") return answered(message);
    if (typeof message.now === "number") skew = Date.now() - message.now;
    state = received(state, message);
    schedule();
  }

  function onComm(changed) {
    // The manager sets this when the kernel restarts (false), and when it finds the same comm again (true).
    state = { ...state, link: changed?.comm_live ? "asking" : "stale" };
    if (changed?.comm_live) ask();
    schedule();
  }

  function onFilter() {
    filter = search.value = model.get("filter");
    schedule();
  }

  model.on("msg:custom", onMessage);
  model.on("comm_live_update", onComm);
  model.on("change:filter", onFilter);
  const clock = setInterval(() => { if (state.link === "live" && !document.hidden) schedule(); }, 1000);
  const dispose = () => {
    ended.abort();
    clearInterval(clock);
    clearTimeout(patience);
    cancelAnimationFrame(frame);
    model.off("msg:custom", onMessage);
    model.off("comm_live_update", onComm);
    model.off("change:filter", onFilter);
  };
  paint();
  ask();
  return dispose;
}

export default { render };
