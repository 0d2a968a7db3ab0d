// Small helpers for the document, and how numbers look.

export const $ = id => document.getElementById(id);

/** Makes an element with a class and children, which are nodes or text. */
export function el(name, className, ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

/** Sets a text, if it is another one: the browser lays out and paints after each change, even to the same text. */
export function put(id, text) {
  const node = $(id);
  if (node.textContent !== text) node.textContent = text;
}

const shown = new WeakMap();

/** The pairs as the content of a <dl>. */
export function facts(list, pairs) {
  const all = pairs.join();
  if (shown.get(list) === all) return;
  shown.set(list, all);
  list.replaceChildren(...pairs.map(([name, value]) => el("div", "", el("dt", "", name), el("dd", "", value))));
}

export function bytes(count) {
  if (count < 1024) return `${count} B`;
  if (count < 1024 * 1024) return `${(count / 1024).toFixed(1)} KiB`;
  return `${(count / 1024 / 1024).toFixed(1)} MiB`;
}

export const hex = (number, digits = 2) => number.toString(16).padStart(digits, "0");

/** Adds a line to a list that shows the last 200, and scrolls to it if the end was in view. */
export function addLine(list, line) {
  const isFirst = !scrolling.has(list);
  // Reading the position makes the browser lay out the page: once for each picture, not for each line.
  const isAtEnd = isFirst && list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  list.append(line);
  if (list.childElementCount > 200) list.firstElementChild.remove();
  if (!isFirst) return;
  scrolling.add(list);
  requestAnimationFrame(() => {
    scrolling.delete(list);
    if (isAtEnd) list.scrollTop = list.scrollHeight;
  });
}
const scrolling = new Set();

/** Calls `react` with the form's fields when it is submitted. */
export function onSubmit(id, react) {
  $(id).addEventListener("submit", event => {
    event.preventDefault();
    react(event.target.elements);
  });
}
