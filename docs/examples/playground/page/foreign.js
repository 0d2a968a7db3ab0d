// Runs in a sandboxed frame, whose origin is opaque. Its request has `Origin: null`, and the server refuses it.
const socket = new WebSocket(`ws://${location.host}/ws${location.search}`);
socket.onopen = () => parent.postMessage({ foreign: "onopen: the server has accepted it" }, "*");
socket.onclose = event => parent.postMessage({ foreign: `onclose: code ${event.code}, nothing more` }, "*");
