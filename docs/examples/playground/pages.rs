//! The files of the page, in the program, and the answers to requests that are not for a WebSocket.

use std::hash::{DefaultHasher, Hash, Hasher};

use websocket_proto::{PlainRequest, Response};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! file {
    ($path:literal, $name:literal, $kind:expr) => {
        ($path, $kind, include_str!(concat!("page/", $name)))
    };
}

const FILES: &[(&str, &str, &str)] = &[
    file!("/", "index.html", HTML),
    file!("/style.css", "style.css", CSS),
    file!("/icon.svg", "icon.svg", SVG),
    file!("/foreign.html", "foreign.html", HTML),
    file!("/foreign.js", "foreign.js", JS),
    file!("/attacks.js", "attacks.js", JS),
    file!("/browser.js", "browser.js", JS),
    file!("/chart.js", "chart.js", JS),
    file!("/detail.js", "detail.js", JS),
    file!("/dom.js", "dom.js", JS),
    file!("/figure.js", "figure.js", JS),
    file!("/frame.js", "frame.js", JS),
    file!("/handshake.js", "handshake.js", JS),
    file!("/inspector.js", "inspector.js", JS),
    file!("/log.js", "log.js", JS),
    file!("/machine.js", "machine.js", JS),
    file!("/main.js", "main.js", JS),
    file!("/room.js", "room.js", JS),
    file!("/store.js", "store.js", JS),
];

/// Only own files, and WebSockets to this server. No page but the own one may have them in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'";

/// Answers a plain request. The machine sends no body in answer to HEAD.
pub(crate) fn answer(request: &PlainRequest<'_>) -> Response {
    let path = request.resource().split('?').next().unwrap_or_default();
    let text = |status, text| Response::new(status).header("Content-Type", "text/plain").body(text);
    if path == "/ws" || path == "/inspect" {
        return text(426, "this resource is a WebSocket\n");
    }
    if !matches!(request.method(), "GET" | "HEAD") {
        return text(405, "GET or HEAD\n").header("Allow", "GET, HEAD");
    }
    let Some((_, kind, body)) = FILES.iter().find(|(found, ..)| *found == path) else {
        return text(404, "there is no such page\n");
    };
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let known = request.headers().get_all("If-None-Match").any(|known| known == tag.as_bytes());
    let response = Response::new(if known { 304 } else { 200 }).header("ETag", tag);
    let response =
        response.header("Cache-Control", "no-cache").header("Content-Security-Policy", POLICY);
    let response =
        response.header("X-Content-Type-Options", "nosniff").header("Content-Type", *kind);
    response.header("Referrer-Policy", "no-referrer").body(*body)
}
