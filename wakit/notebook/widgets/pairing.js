/* The pairing widget: from "how do you want to link it?" to "connected".
 *
 * Theory of operation. The kernel decides the phase (pairing.py) and sends it as {type: "view"}: a custom message,
 * because a synced trait would be written into the saved notebook, and a QR or a code must never be. For the same
 * reason the number typed here is sent as a message and kept in no model. Every view asks with {type: "hello"} when it
 * renders, so a second view, or one that was scrolled away, is soon the same. The stage is rebuilt when the phase or
 * what it shows changes; only the countdown moves in between. What has expired is taken out of the DOM.
 */

const PATIENCE = 4000; // ms without an answer from the kernel before the view says so
const QUIET = 4; // modules of white around the code
const SVG = "http://www.w3.org/2000/svg";

/** Draw the dark modules as one SVG path: a run of dark modules in a row is one bar. */
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

/** Read a phone number as E.164; null if it is none. Spaces, dashes, dots, parentheses are notation (E.123). */
export function phoneNumber(text) {
  const compact = text.replace(/[ \-.()]/g, "");
  return /^\+[1-9][0-9]{7,14}$/.test(compact) ? compact : null;
}

/** Say what is wrong with a number, or "" if nothing is. Empty is fine: the file may have one. */
export function numberProblem(text) {
  const compact = text.replace(/[ \-.()]/g, "");
  if (compact === "" || phoneNumber(text)) return "";
  if (/[^+0-9]/.test(compact)) return "A phone number has only digits after its +.";
  if (compact.startsWith("00")) return "Write + instead of 00 before the country code.";
  if (!compact.startsWith("+")) return "Begin with + and the country code, as in +34 600 000 001.";
  const digits = compact.length - 1;
  if (digits < 8) return `That is too short: ${digits} of at least 8 digits.`;
  if (digits > 15) return `That is too long: ${digits} of at most 15 digits.`;
  return "A country code does not begin with 0.";
}

/** Seconds as people read a countdown: rounded up, so that 0 means over. */
export function countdown(ms) {
  const s = Math.max(0, Math.ceil(ms / 1000));
  return s < 60 ? `${s} s` : `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")} min`;
}

const PHASES = {
  asking: ["…", "Waiting for the kernel…"],
  silent: ["!", "No answer from the kernel yet: it is busy, or it is another one. If this stays, run the cell again."],
  stale: ["!", "Not live: the kernel was restarted or is gone. Run the cell again to go on."],
  gone: ["!", "The daemon does not answer. Start it with `wakit up -d`; this goes on by itself."],
  unknown: ["!", "This session is not declared any more. Add it to sessions.toml, or fleet.declare() it."],
  choose: ["○", "How do you want to link the phone?"],
  waiting: ["◌", "Asking WhatsApp…"],
  qr: ["◌", "Scan this with the phone: WhatsApp, Settings, Linked devices, Link a device."],
  code: ["◌", "Type this on the phone: WhatsApp, Settings, Linked devices, Link a device, Link with phone number instead."],
  expired: ["!", "Nobody scanned or typed in time, and the codes ran out."],
  linked: ["◌", "The phone linked the device. Logging in…"],
  connected: ["●", "Connected."],
  passkey: ["✕", "WhatsApp asks this account for a passkey, which linked clients like this one cannot give yet. New codes do not help: on the phone, see Settings, Account, Passkeys, then try again."],
  failed: ["✕", "The session needs a person."],
};

/** What the status line says in a phase. */
export function sentence(view) {
  const [symbol, words] = PHASES[view.phase] ?? ["?", view.phase];
  return [symbol, words];
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

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function drawing(rows, room, label) {
  const side = rows.length + 2 * QUIET;
  const pixels = moduleSize(rows.length, room) * side;
  const svg = document.createElementNS(SVG, "svg");
  const attributes = { viewBox: `0 0 ${side} ${side}`, width: pixels, height: pixels, role: "img", "aria-label": label, "shape-rendering": "crispEdges", class: "wakit-qr" };
  for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, value);
  const paper = document.createElementNS(SVG, "rect");
  paper.setAttribute("width", "100%");
  paper.setAttribute("height", "100%");
  paper.setAttribute("fill", "#fff"); // black on white in dark themes too: many cameras fail on the inverse
  const ink = document.createElementNS(SVG, "path");
  ink.setAttribute("d", pathOf(rows));
  ink.setAttribute("fill", "#000");
  svg.append(paper, ink);
  return svg;
}

function render({ model, el, signal }) {
  const name = model.get("session");
  let view = { phase: "asking" };
  let deadline = null; // of what is shown, on performance.now()'s clock
  let patience = 0;
  let number = "";
  let large = false;
  let painted = "";

  const mark = element("span", { class: "wakit-mark", "aria-hidden": "true" });
  const words = element("span");
  const status = element("p", { class: "wakit-status", role: "status", "aria-live": "polite" }, mark, words);
  const detail = element("p", { class: "wakit-detail" });
  const problem = element("p", { class: "wakit-problem", role: "alert" });
  const stage = element("div", { class: "wakit-stage" });
  // A countdown read aloud each second is noise; the live region above says when something happens.
  const left = element("p", { class: "wakit-left", role: "timer", "aria-live": "off" });
  const buttons = element("div", { class: "wakit-buttons" });
  const root = element("section", { class: "wakit-pairing", "aria-label": `Pair ${name}` },
    element("h3", {}, `Pair ${name}`), status, detail, problem, stage, left, buttons);
  root.addEventListener("keydown", (event) => event.stopPropagation());
  el.replaceChildren(root);

  function button(text, onclick, attributes = {}) {
    return element("button", { type: "button", onclick, ...attributes }, text);
  }

  function pair(method, phone = null) {
    model.send({ type: "pair", method, phone });
    view = { ...view, phase: "waiting", error: null };
    paint();
  }

  function again() {
    return button("New code", () => pair(view.method), { class: "wakit-main" });
  }

  function numberForm() {
    const hint = element("p", { class: "wakit-hint", id: `wakit-hint-${Math.random().toString(36).slice(2)}` });
    const input = element("input", {
      type: "tel", autocomplete: "off", inputmode: "tel", placeholder: "+34 600 000 001", "aria-describedby": hint.id,
      oninput: () => { number = input.value; say(hint, ""); input.removeAttribute("aria-invalid"); },
    });
    input.value = number;
    const form = element("form", {
      class: "wakit-number",
      onsubmit: (event) => {
        event.preventDefault();
        const wrong = numberProblem(input.value);
        say(hint, wrong);
        if (wrong) { input.setAttribute("aria-invalid", "true"); input.focus(); return; }
        const phone = phoneNumber(input.value);
        number = ""; // not kept longer than needed
        pair("code", phone);
      },
    }, element("label", {}, "Phone number, with country code (empty: the one in sessions.toml) ", input),
      element("button", { type: "submit" }, "Get a code"), hint);
    return form;
  }

  function codeStage() {
    const text = element("output", { class: "wakit-code", "aria-label": `Pairing code ${[...view.code].join(" ")}` }, view.code);
    const copy = button("Copy", async () => {
      try {
        await navigator.clipboard.writeText(view.code);
        say(copy, "Copied");
      } catch {
        getSelection().selectAllChildren(text); // no clipboard outside https and localhost: Ctrl-C is then one key away
        say(copy, "Press Ctrl-C");
      }
      setTimeout(() => say(copy, "Copy"), 2000);
    }, { class: "wakit-copy" });
    return [text, copy];
  }

  function fill() {
    stage.replaceChildren();
    buttons.replaceChildren();
    const expired = deadline !== null && performance.now() >= deadline;
    switch (view.phase) {
      case "qr":
        if (expired) stage.append(element("p", { class: "wakit-hint" }, "This one has expired; the next is on its way…"));
        else {
          const room = large ? 720 : 340;
          stage.append(drawing(view.rows, Math.min(room, (el.clientWidth || room) - 32), `QR code that links ${name}. Scan it with WhatsApp on the phone.`));
        }
        buttons.append(
          button(large ? "Smaller" : "Larger", () => { large = !large; repaint(); }, { "aria-pressed": String(large) }),
          button("Use a code instead", () => { view = { ...view, phase: "choose" }; deadline = null; paint(); stage.querySelector("input").focus(); }));
        break;
      case "code":
        if (expired) stage.append(element("p", { class: "wakit-hint" }, "This code has expired."));
        else stage.append(...codeStage());
        buttons.append(again(), button("Use a QR instead", () => pair("qr")));
        break;
      case "choose":
        stage.append(element("div", { class: "wakit-choice" },
          button("Show a QR", () => pair("qr"), { class: "wakit-main" }),
          element("span", { class: "wakit-or" }, "or"), numberForm()));
        break;
      case "expired":
        buttons.append(again(), button("Another way", () => { view = { ...view, phase: "choose" }; paint(); }));
        break;
      case "passkey":
      case "failed":
        buttons.append(button("Try again", () => { view = { ...view, phase: "choose" }; paint(); }));
        break;
      default:
    }
  }

  function repaint() { painted = ""; paint(); }

  function paint() {
    const [symbol, said] = sentence(view);
    root.dataset.phase = view.phase;
    say(mark, symbol);
    say(words, said);
    const why = ["choose", "waiting", "failed", "expired", "gone", "passkey"].includes(view.phase) ? view.reason ?? "" : "";
    say(detail, why);
    say(problem, view.error ?? "");
    const over = deadline !== null && performance.now() >= deadline;
    const now = [view.phase, view.serial ?? "", over, large].join("|");
    if (now !== painted) { painted = now; fill(); }
    tick();
  }

  function tick() {
    const shows = deadline !== null && (view.phase === "qr" || view.phase === "code");
    const rest = shows ? deadline - performance.now() : 0;
    say(left, rest > 0 ? `${view.phase === "qr" ? "The next one in" : "Valid for"} ${countdown(rest)}` : "");
    if (shows && rest <= 0 && !painted.includes("|true|")) paint();
  }

  function ask() {
    clearTimeout(patience);
    patience = setTimeout(() => { if (view.phase === "asking") { view = { phase: "silent" }; paint(); } }, PATIENCE);
    model.send({ type: "hello" });
  }

  function onMessage(message) {
    if (message.type !== "view") return;
    view = message;
    // A length, not a moment: the browser's clock may differ from the daemon's.
    deadline = typeof message.left === "number" ? performance.now() + message.left : null;
    paint();
  }

  function onComm(changed) {
    view = { phase: changed?.comm_live ? "asking" : "stale" };
    deadline = null;
    paint();
    if (changed?.comm_live) ask();
  }

  model.on("msg:custom", onMessage);
  model.on("comm_live_update", onComm);
  const clock = setInterval(tick, 500);
  signal?.addEventListener("abort", () => clearInterval(clock));
  paint();
  ask();
  return () => {
    clearInterval(clock);
    clearTimeout(patience);
    stage.replaceChildren();
    model.off("msg:custom", onMessage);
    model.off("comm_live_update", onComm);
  };
}

export default { render };
