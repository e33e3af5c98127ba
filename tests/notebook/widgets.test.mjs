// The widgets' pure functions, by Node's own runner and without any package. They are taken from the very text that the
// browser gets: test_notebook_javascript.py joins the modules, and names the folder in WIDGETS.
import assert from "node:assert/strict";
import { test } from "node:test";

const load = (name) => import(`file://${process.env.WIDGETS}/${name}.mjs`);

const board = await load("board");
const pairing = await load("pairing");

function row(name, more = {}) {
  return { name, state: "connected", status: "connected", since: 0, seen: null, stale: false, reason: "", attempt: 0, next: null, worker: 1, paired: true, enabled: true, account: null, labels: {}, ...more };
}

const fleet = { reachable: true, trouble: "", converged: true, error: null, hint: null };
const all = (...rows) => ({ type: "all", now: 1000, fleet, rows });
const names = (state) => [...state.rows.keys()];

test("duration takes two units at most", () => {
  assert.equal(board.duration(-5), "0 s");
  assert.equal(board.duration(59_999), "59 s");
  assert.equal(board.duration(192_000), "3 min 12 s");
  assert.equal(board.duration(3_540_000), "59 min");
  assert.equal(board.duration(3_600_000 * 47), "47 h 0 min");
  assert.equal(board.duration(3_600_000 * 50), "2 d 2 h");
});

test("next try counts down and then says now", () => {
  assert.equal(board.nextTry(row("a"), 0), "");
  assert.equal(board.nextTry(row("a", { next: 5000, attempt: 3 }), 1000), "in 4 s (try 3)");
  assert.equal(board.nextTry(row("a", { next: 5000 }), 5000), "now");
  assert.equal(board.nextTry(row("a", { attempt: 2 }), 0), "try 2");
});

test("the filter wants every word, in names, states, reasons and labels", () => {
  const sales = row("sales", { state: "reconnecting", reason: "Name look-up failed", labels: { team: "emea" } });
  for (const good of ["", "SAL", "look reconn", "team=emea", "  sales  emea "]) assert.ok(board.matches(sales, good), good);
  for (const bad of ["support", "sales team=apac"]) assert.ok(!board.matches(sales, bad), bad);
});

test("a word with = is about one label or the state, from its beginning on", () => {
  const sales = row("sales", { state: "logged_out", status: "failed", reason: "team=apac said so", account: "ab12cd", labels: { team: "emea" } });
  for (const good of ["team=em", "state=logged", "status=failed", "state=fail", "TEAM=EMEA state=logged_out", "#ab12", "logged out"]) assert.ok(board.matches(sales, good), good);
  for (const bad of ["team=apac", "state=connected", "region=emea", "team=mea"]) assert.ok(!board.matches(sales, bad), bad);
  assert.ok(board.matches(sales, "sales", "failed"));
  assert.ok(!board.matches(sales, "sales", "connected"));
});

test("sorting is stable, puts what fails first and what has no value last", () => {
  const rows = [row("b"), row("c", { status: "failed", state: "banned", next: 9 }), row("a"), row("d", { since: 50 })];
  const order = (column, down) => board.sorted(rows, column, down).map((r) => r.name).join("");
  assert.equal(order(null), "bcad");
  assert.equal(order("name"), "abcd");
  assert.equal(order("name", true), "dcba");
  assert.equal(order("state"), "cbad");
  assert.equal(order("next"), "cbad");
  assert.equal(order("since"), "dbca");
  const down = { a: 5000, c: 9000 };
  assert.equal(board.sorted(rows, "hour", false, (name) => down[name] ?? 0).map((r) => r.name).join(""), "cabd");
});

const MINUTE = 60_000;
const NOW = 1000 * MINUTE + 30_000; // half a minute into minute 1000
const hour = (kind, at, minutes, more = {}) => ({ kind, at, troubled: true, minutes, whole: true, ...more });

test("an hour is carried on to now: what a session is goes on", () => {
  const minutes = board.minutesOf(hour("disconnected", 998 * MINUTE + 10_000, [[997, "connected", 0, 0], [998, "disconnected", 0, 1]]), NOW);
  assert.equal(minutes.length, 60);
  assert.deepEqual(minutes[0], [941, "none", 0, 0]);
  assert.deepEqual(minutes.slice(-4), [[997, "connected", 0, 0], [998, "disconnected", 50_000, 1], [999, "disconnected", 60_000, 0], [1000, "disconnected", 30_000, 0]]);
  assert.equal(board.downIn(minutes), 140_000);
  const old = board.minutesOf(hour("connected", 100 * MINUTE, [[100, "connected", 0, 0]]), NOW);
  assert.ok(old.every(([, worst]) => worst === "connected"), "since long before the hour");
  assert.ok(board.minutesOf(undefined, NOW).every(([, worst]) => worst === "none"));
});

test("waiting is down only for who is missed", () => {
  const wait = (troubled) => board.downIn(board.minutesOf(hour("pending", 999 * MINUTE, [[999, "pending", 0, 0]], { troubled }), NOW));
  assert.equal(wait(true), 90_000);
  assert.equal(wait(false), 0);
});

test("the hour is told in words", () => {
  const told = (minutes, now = NOW) => board.told(board.minutesOf(minutes, now));
  const full = (kind, from, changes = {}) => hour(kind, NOW, Array.from({ length: 60 - from }, (_, n) => changes[941 + from + n] ?? [941 + from + n, "connected", 0, 0]));
  assert.equal(told(undefined), "nothing is known of the last hour");
  assert.equal(told(full("connected", 0)), "connected for all of the last hour");
  assert.equal(told(full("connected", 20)), "never down in the last hour");
  assert.equal(told(full("connected", 0, { 950: [950, "failed", 45_000, 1], 970: [970, "disconnected", 60_000, 1], 971: [971, "disconnected", 75_000, 0] })), "down twice in the last hour, 3 min 0 s");
  assert.equal(told(full("connected", 0, { 941: [941, "failed", 60_000, 0] })), "down once in the last hour, 1 min 0 s", "it began before");
  assert.equal(told(hour("failed", 100 * MINUTE, [[100, "failed", 0, 1]])), "down for all of the last hour");
  assert.equal(told(hour("off", 100 * MINUTE, [[100, "off", 0, 0]], { troubled: false })), "off on purpose");
  assert.equal(told(hour("pending", 100 * MINUTE, [[100, "pending", 0, 0]], { troubled: false })), "not connected in the last hour");
});

test("a strip has a bar a run, up above the line and trouble below it", () => {
  const paths = board.bars([[1, "connected", 0, 0], [2, "connected", 0, 0], [3, "failed", 1, 1], [4, "none", 0, 0], [5, "connected", 0, 0]]);
  assert.deepEqual(paths, { connected: "M0 3h4v5h-4zM8 3h2v5h-2z", failed: "M4 8h2v8h-2z" });
  const depths = ["connected", "pending", "off", "disconnected", "failed"].map((kind) => board.bars([[1, kind, 0, 0]])[kind]);
  assert.equal(new Set(depths).size, 5, "each kind has a shape of its own");
});

test("what is told of an hour is put to what is known", () => {
  const old = hour("connected", 5, [[1, "connected", 0, 0], [2, "connected", 0, 0]]);
  const more = board.merged(old, { ...hour("failed", 9, [[2, "failed", 7, 1], [3, "failed", 0, 0]]), whole: false });
  assert.deepEqual(more.minutes, [[1, "connected", 0, 0], [2, "failed", 7, 1], [3, "failed", 0, 0]]);
  assert.equal(more.kind, "failed");
  assert.deepEqual(board.merged(old, hour("off", 9, [[2, "off", 0, 0]])).minutes, [[2, "off", 0, 0]]);
});

test("only what is in sight is in the page, and who is kept", () => {
  const names = Array.from({ length: 100 }, (_, n) => `s${n}`);
  const edges = board.tops(names, new Map(names.map((name) => [name, 10])));
  assert.equal(edges.at(-1), 1000);
  assert.deepEqual(board.windowed(edges, 500, 529), [{ gap: 500 }, 50, 51, 52, { gap: 470 }]);
  assert.deepEqual(board.windowed(edges, 500, 519, [3, 98]), [{ gap: 30 }, 3, { gap: 460 }, 50, 51, { gap: 460 }, 98, { gap: 10 }]);
  assert.deepEqual(board.windowed(edges, -400, 5), [0, { gap: 990 }]);
  assert.deepEqual(board.windowed(edges, 990, 5000), [{ gap: 990 }, 99]);
  assert.deepEqual(board.windowed(board.tops([], new Map()), 0, 100), []);
});

test("rows that were never measured are as high as the others on average", () => {
  assert.deepEqual(board.tops(["a", "b", "c"], new Map([["a", 20], ["c", 40]])), [0, 20, 50, 90]);
  const guessed = board.tops(["a", "b"], new Map());
  assert.equal(guessed[2], 2 * guessed[1]);
});

test("what is spoken is short, and says the same", () => {
  const live = board.received(board.opened({}), all(row("a"), row("b", { status: "failed" })));
  assert.deepEqual(board.spoken(live), ["warn", "connected: 1, failed: 1"]);
  assert.equal(board.spoken(board.opened({}))[1], "", "that it waits is no news");
  assert.match(board.spoken({ ...live, link: "stale" })[1], /old/);
  assert.match(board.spoken({ ...live, fleet: { ...fleet, reachable: false } })[1], /No contact/);
  assert.match(board.spoken({ ...live, fleet: { ...fleet, error: "line 3" } })[1], /error/);
  assert.equal(board.spoken(board.received(live, all()))[1], "no sessions");
});

test("a screen reader hears at once that nothing is live, and counts now and then", () => {
  const first = board.announced({ mood: "", words: "", at: -Infinity }, ["ok", "2 connected"], 0);
  assert.equal(first.words, "2 connected");
  assert.equal(board.announced(first, ["warn", "1 connected, 1 failed"], 9_999), first, "that can wait");
  assert.equal(board.announced(first, ["ok", "2 connected"], 99_999), first, "that is nothing new");
  const counted = board.announced(first, ["warn", "1 connected, 1 failed"], 10_000);
  assert.equal(counted.words, "1 connected, 1 failed");
  const gone = board.announced(counted, ["gone", "The daemon does not answer"], 10_001);
  assert.equal(gone.mood, "gone");
  assert.equal(board.announced(gone, ["ok", "2 connected"], 10_002).mood, "ok");
});

test("messages fold into the state", () => {
  let state = board.opened({});
  assert.equal(state.link, "asking");
  state = board.received(state, { type: "changes", rows: [row("x")], gone: [], fleet: null, order: null });
  assert.deepEqual(names(state), [], "what comes before everything is told by everything");
  state = board.received(state, all(row("a"), row("b")));
  assert.equal(state.link, "live");
  state = board.received(state, { type: "changes", rows: [row("c"), row("a", { state: "paired" })], gone: ["b"], fleet: null, order: null });
  assert.deepEqual(names(state), ["a", "c"]);
  assert.equal(state.rows.get("a").state, "paired");
  state = board.received(state, { type: "changes", rows: [], gone: [], fleet: null, order: ["c", "a"] });
  assert.deepEqual(names(state), ["c", "a"]);
  state = board.received(state, { type: "changes", rows: [], gone: [], fleet: null, order: null, past: { a: hour("connected", 5, [[0, "connected", 0, 0]]) } });
  assert.equal(state.past.get("a").kind, "connected");
  assert.equal(board.received(state, { type: "changes", rows: [], gone: ["a"], fleet: null, order: null }).past.size, 0);
  assert.equal(board.received(state, { type: "from the future" }), state);
});

test("the headline says what is wrong before what is well", () => {
  const live = board.received(board.opened({}), all(row("a"), row("b", { status: "failed" })));
  assert.deepEqual(board.headline(live), ["warn", "1 connected, 1 failed; as declared"]);
  assert.equal(board.headline({ ...live, fleet: { ...fleet, reachable: false, trouble: "it was killed" } })[0], "gone");
  assert.match(board.headline({ ...live, fleet: { ...fleet, error: "line 3: nonsense" } })[1], /not in force: line 3/);
  assert.match(board.headline({ ...live, link: "stale" })[1], /Run the cell again/);
  assert.deepEqual(board.headline(board.received(live, all())), ["ok", "no sessions declared; as declared"]);
});

test("a QR is drawn module by module, with its border", () => {
  assert.equal(pairing.pathOf(["101", "011"]), "M4 4h1v1h-1zM6 4h1v1h-1zM5 5h2v1h-2z");
  assert.equal(pairing.pathOf(["000"]), "");
});

test("a module is whole pixels, never under four", () => {
  assert.equal(pairing.moduleSize(61, 340), 4);
  assert.equal(pairing.moduleSize(61, 720), 10);
  assert.equal(pairing.moduleSize(61, 50), 4);
});

test("numbers are read as the daemon reads them", () => {
  assert.equal(pairing.phoneNumber("+34 (600) 000-0.01"), "+34600000001");
  for (const bad of ["", "600000001", "0034600000001", "+0123456789", "+1234567", "+1234567890123456", "+34x00000001"]) {
    assert.equal(pairing.phoneNumber(bad), null, bad);
  }
});

test("what is wrong with a number is said, never that nothing is", () => {
  assert.equal(pairing.numberProblem(""), "", "empty takes the file's");
  assert.equal(pairing.numberProblem("+34 600 000 001"), "");
  assert.match(pairing.numberProblem("0034600000001"), /instead of 00/);
  assert.match(pairing.numberProblem("600000001"), /country code/);
  assert.match(pairing.numberProblem("+123"), /too short: 3/);
  assert.match(pairing.numberProblem("+1234567890123456"), /too long: 16/);
  assert.match(pairing.numberProblem("+34 six"), /only digits/);
  assert.match(pairing.numberProblem("+0123456789"), /begin with 0/);
});

test("counts are said as people say them", () => {
  assert.deepEqual([0, 1, 2, 3].map(board.times), ["never", "once", "twice", "3 times"]);
});

test("a countdown ends at zero", () => {
  assert.equal(pairing.countdown(59_100), "1:00 min");
  assert.equal(pairing.countdown(19_100), "20 s");
  assert.equal(pairing.countdown(-1), "0 s");
});

test("every phase the kernel may send has words", () => {
  for (const phase of ["gone", "unknown", "choose", "waiting", "qr", "code", "expired", "linked", "connected", "passkey", "failed"]) {
    assert.ok(pairing.sentence({ phase })[1].length > 5, phase);
  }
});

/** An element of a page, as far as themes go. */
const element = (attributes) => (name) => attributes[name] ?? null;

test("each front end's mark of its theme is understood", () => {
  const marks = [
    [true, { "data-jp-theme-light": "false", class: "jp-ThemedContainer" }],
    [false, { "data-jp-theme-light": "true" }],
    [true, { class: "vscode-dark" }],
    [true, { class: "other vscode-high-contrast" }],
    [false, { class: "vscode-high-contrast vscode-high-contrast-light" }],
    [false, { class: "vscode-light", "data-vscode-theme-kind": "vscode-light" }],
    [true, { theme: "dark" }],
    [false, { theme: "light" }],
    [true, { class: "dark dark-theme" }],
    [true, { "data-theme": "dark" }],
    [false, { class: "light light-theme" }],
    [null, { class: "darkroom lighthouse" }],
    [null, {}],
  ];
  for (const [dark, attributes] of marks) assert.equal(board.marked(element(attributes)), dark, JSON.stringify(attributes));
});

test("the nearest mark decides, else the system", () => {
  const dark = element({ class: "dark" });
  const light = element({ class: "light" });
  const none = element({});
  assert.equal(board.isDark([none, dark, light], false), true);
  assert.equal(board.isDark([none, light, dark], true), false);
  assert.equal(board.isDark([none], true), true);
  assert.equal(board.isDark([], false), false);
});
