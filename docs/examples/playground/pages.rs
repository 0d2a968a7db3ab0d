//! The files of the page, in the program, and the answers to requests that are not for a WebSocket.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use websocket_proto::{PlainRequest, Response};

macro_rules! files {
    ($($name:literal)*) => { &[$((concat!("/", $name), include_str!(concat!("page/", $name)))),*] };
}

/// Paths and contents.
const FILES: &[(&str, &str)] = files! {
    "index.html" "style.css" "icon.svg" "foreign.html"
    "foreign.js" "attacks.js" "browser.js" "chart.js" "cutter.js" "detail.js" "dom.js" "figure.js" "frame.js"
    "handshake.js" "inspector.js" "log.js" "machine.js" "main.js" "room.js" "store.js" "violations.js"
};

/// Only own files, and WebSockets to this server. No page but the own one may have them in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'";

/// Answers a plain request. The machine sends no body in answer to HEAD.
pub(crate) fn answer(request: &PlainRequest<'_>) -> Response {
    let path = request.resource().split('?').next().unwrap_or_default();
    let text = |status, text| Response::new(status).header("Content-Type", "text/plain").body(text);
    let path = match (path, request.method()) {
        ("/ws" | "/inspect", _) => return text(426, "this resource is a WebSocket\n"),
        ("/", "GET" | "HEAD") => "/index.html",
        (_, "GET" | "HEAD") => path,
        _ => return text(405, "GET or HEAD\n").header("Allow", "GET, HEAD"),
    };
    let Some((_, body)) = FILES.iter().find(|(found, _)| *found == path) else {
        return text(404, "there is no such page\n");
    };
    let kind = match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/javascript; charset=utf-8",
    };
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(body);
    let tag = format!("\"{hash:016x}\"");
    let known = request.headers().get_all("If-None-Match").any(|known| known == tag.as_bytes());
    let response = Response::new(if known { 304 } else { 200 }).header("ETag", tag);
    let response = response.header("Cache-Control", "no-cache").header("Content-Type", kind);
    let response = response.header("Content-Security-Policy", POLICY);
    let response = response.header("X-Content-Type-Options", "nosniff");
    response.header("Referrer-Policy", "no-referrer").body(*body)
}
