/* The pairing widget: from "how do you want to link it?" to "connected".
 *
 * Theory of operation. The kernel decides the phase (pairing.py) and sends it as {type: "view"}: a custom message,
 * because a synced trait would be written into the saved notebook, and a QR or a code must never be. For the same
 * reason the number typed here is sent as a message and kept in no model. Every view asks with {type: "hello"} when it
 * renders, so a second view, or one that was scrolled away, is soon the same. The stage is rebuilt when the phase or
 * what it shows changes; only the countdown moves in between. What has expired is taken out of the DOM.
 */

import { qr } from "./parts/drawing.js";
import { numberProblem, phoneNumber } from "./parts/numbers.js";
import { attend, element, say } from "./parts/page.js";
import { dressed } from "./parts/theme.js";
import { countdown } from "./parts/words.js";

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

function render({ model, el, signal }) {
  const name = model.get("session");
  let view = { phase: "asking" };
  let deadline = null; // of what is shown, on performance.now()'s clock
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
  const root = element("section", { class: "wakit wakit-pairing", "aria-label": `Pair ${name}` },
    element("h3", {}, `Pair ${name}`), status, detail, problem, stage, left, buttons);
  root.addEventListener("keydown", (event) => event.stopPropagation());
  el.replaceChildren(root);
  const undress = dressed(root);

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
          stage.append(qr(view.rows, Math.min(room, (el.clientWidth || room) - 32), `QR code that links ${name}. Scan it with WhatsApp on the phone.`));
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

  const leave = attend(model, (message) => {
    if (message.type !== "view") return;
    view = message;
    // A length, not a moment: the browser's clock may differ from the daemon's.
    deadline = typeof message.left === "number" ? performance.now() + message.left : null;
    paint();
  }, (phase) => {
    view = { phase };
    deadline = null;
    paint();
  });
  const clock = setInterval(tick, 500);
  signal?.addEventListener("abort", () => { clearInterval(clock); undress(); });
  paint();
  return () => {
    clearInterval(clock);
    stage.replaceChildren();
    undress();
    leave();
  };
}

export default { render };
