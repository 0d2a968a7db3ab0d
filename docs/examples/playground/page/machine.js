// The right column: the states of the server's machine, its queue, its limits and timers.

import { $, bytes, facts } from "./dom.js";

/** The latest state record. */
export let now = { buffered: 0, received: 0, written: 0 };
let due = null;

export function noteState(state, time) {
  if (state.state !== now.state) {
    for (const node of document.querySelectorAll("[data-state]")) node.classList.toggle("lit", node.dataset.state === state.state);
    $("states-label").textContent = `States of a connection. It is ${state.state}.`;
  }
  now = state;
  due = state.wake === null ? null : performance.now() + (state.wake - time) / 1000;
}

/** Shows the numbers. Called ten times a second: there can be thousands of records. */
export function showFacts() {
  if (now.state === undefined) return;
  const left = due === null ? "none" : `in ${(Math.max(0, due - performance.now()) / 1000).toFixed(1)} s`;
  facts($("machine-facts"), [
    ["buffered_amount", now.buffered.toLocaleString("en")],
    ["bytes to write", now.outgoing.toLocaleString("en")],
    ["is_writable", now.writable ? "yes" : "no: above the high water mark"],
    ["is_congested", now.congested ? "yes: reading waits" : "no"],
    ["wants_read", now.paused ? "yes, but it does not" : now.reads ? "yes" : "no"],
    ["to produce", now.left.toLocaleString("en")],
    ["read", bytes(now.received)],
    ["written", bytes(now.written)],
    ["next deadline", left],
  ]);
}

export function showOpen({ limits, timers, deflate }) {
  const time = value => value === null ? "none" : value < 1000 ? `${value} ms` : `${value / 1000} s`;
  facts($("limits"), [
    ...Object.entries(limits).map(([name, value]) => [name, value.toLocaleString("en")]),
    ...Object.entries(timers).map(([name, value]) => [name, time(value)]),
    ["permessage-deflate", deflate ?? "not in use"],
  ]);
  $("machine-end").textContent = "";
}

export function showClosed({ clean, code, reason, cause, sent }) {
  $("machine-end").textContent = `Closed ${clean ? "cleanly" : "without a Close of the browser"}: ${cause}. Received code ${code}${reason ? `, “${reason}”` : ""}; sent ${sent ?? "none"}.`;
}
