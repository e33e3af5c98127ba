/* What both widgets do with a page and with a kernel. All text goes in as textContent, never as markup. */

const PATIENCE = 4000; // ms without an answer from the kernel before the view says so

/** Make an element; an attribute that begins with "on" is a listener, null is left out. */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Write only what differs: an unchanged text node keeps the reader's selection and costs nothing. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Talk to the kernel from one view, until the function that is returned is called.
 *
 * The view asks for everything ({type: "hello"}) now, and whenever the kernel is back. `changed` is told "silent" when
 * no answer came in time, "stale" when the kernel is gone or another one, "asking" when it is asked anew.
 */
export function attend(model, heard, changed) {
  let patience = 0;
  const ask = () => {
    clearTimeout(patience);
    patience = setTimeout(() => changed("silent"), PATIENCE);
    model.send({ type: "hello" });
  };
  const onMessage = (message) => { clearTimeout(patience); heard(message); };
  // The manager sets this when the kernel restarts (false), and when it finds the same comm again (true).
  const onComm = (now) => {
    clearTimeout(patience);
    changed(now?.comm_live ? "asking" : "stale");
    if (now?.comm_live) ask();
  };
  model.on("msg:custom", onMessage);
  model.on("comm_live_update", onComm);
  ask();
  return () => {
    clearTimeout(patience);
    model.off("msg:custom", onMessage);
    model.off("comm_live_update", onComm);
  };
}
