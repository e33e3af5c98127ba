// The widgets' pure functions, run by `node --test` without any package; test_notebook_javascript.py calls it.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

async function load(name) {
  const source = await readFile(new URL(`../../wakit/notebook/widgets/${name}`, import.meta.url));
  return import(`data:text/javascript;base64,${source.toString("base64")}`); // as a browser does: a module, whatever its suffix
}

const board = await load("board.js");
const pairing = await load("pairing.js");

function row(name, more = {}) {
  return { name, state: "connected", status: "connected", since: 0, seen: null, stale: false, reason: "", attempt: 0, next: null, worker: 1, paired: true, labels: {}, ...more };
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

test("sorting is stable, puts what fails first and what has no value last", () => {
  const rows = [row("b"), row("c", { status: "failed", state: "banned", next: 9 }), row("a"), row("d", { since: 50 })];
  const order = (column, down) => board.sorted(rows, column, down).map((r) => r.name).join("");
  assert.equal(order(null), "bcad");
  assert.equal(order("name"), "abcd");
  assert.equal(order("name", true), "dcba");
  assert.equal(order("state"), "cbad");
  assert.equal(order("next"), "cbad");
  assert.equal(order("since"), "dbca");
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
