/* Dark or light: what the page around a widget says of itself, wherever the widget is drawn.
 *
 * Front ends mark their theme in ways of their own, on the body or further in, and some draw widgets in a shadow root,
 * whose style sheet cannot look out. So the marks are read here, and a class on the widget's root says the outcome to
 * the one rule in theme.css. What was chosen in a front end outranks the system.
 */

const MARKED = ["class", "data-jp-theme-light", "data-theme", "data-vscode-theme-kind", "theme"];
const LIGHT = ["light", "light-theme", "vscode-light", "vscode-high-contrast-light"];
const DARK = ["dark", "dark-theme", "vscode-dark", "vscode-high-contrast"];

/** What one element says: true for dark, false for light, null for nothing. `of` reads an attribute. */
export function marked(of) {
  const jupyter = of("data-jp-theme-light"); // JupyterLab, Notebook, Voilà, nbconvert
  if (jupyter) return jupyter === "false";
  const words = ["theme", "data-theme", "data-vscode-theme-kind", "class"].flatMap((name) => (of(name) ?? "").split(/\s+/)); // Colab; VS Code, marimo
  if (words.some((word) => LIGHT.includes(word))) return false; // first: VS Code marks high contrast light as both
  return words.some((word) => DARK.includes(word)) ? true : null;
}

/** Whether to be dark: the nearest element that says something decides, else the system. */
export function isDark(around, system) {
  for (const of of around) {
    const said = marked(of);
    if (said !== null) return said;
  }
  return system;
}

/** The elements around a node, from the nearest on, out of shadow roots, too. The last two are there before it is. */
function around(node) {
  const found = [];
  for (let at = node; at; at = at.parentElement ?? at.getRootNode().host) if (at !== node) found.push(at);
  return [...new Set([...found, document.body, document.documentElement])];
}

/** Keep the class `wakit-dark` of a root as the page around it is, until the function that is returned is called. */
export function dressed(root) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dress = () => {
    root.classList.toggle("wakit-dark", isDark(around(root).map((node) => (name) => node.getAttribute(name)), system.matches));
  };
  const marks = new MutationObserver(dress);
  const look = () => {
    marks.disconnect();
    for (const node of around(root)) marks.observe(node, { attributes: true, attributeFilter: MARKED });
    dress();
  };
  // A widget may be made before it is put into the page; then it gets a size.
  const place = new ResizeObserver(() => { if (root.isConnected) { place.disconnect(); look(); } });
  place.observe(root);
  system.addEventListener("change", dress);
  look();
  return () => {
    place.disconnect();
    marks.disconnect();
    system.removeEventListener("change", dress);
  };
}
