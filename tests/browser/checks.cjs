// Does on the playground's page what a person can do there: checks.cjs chromium|firefox PROGRAMS [SCREENSHOTS].
// Prints a line for each check, and `done` at the end. The variable ONLY has a pattern for the names of the checks to run.
const { execFileSync, spawn } = require("node:child_process");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const puppeteer = require("puppeteer-core");

const [kind, programs, screenshots] = process.argv.slice(2);
const PATIENCE = 20_000;
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const checks = [];
const check = (name, run) => checks.push([name, run]);
const sleep = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

function expect(seen, expected, what = "") {
  if (JSON.stringify(seen) !== JSON.stringify(expected)) throw new Error(`${what} expected ${JSON.stringify(expected)}, saw ${JSON.stringify(seen)}`);
}

function expectMatch(text, pattern) {
  if (!pattern.test(text)) throw new Error(`${pattern} is not in: ${text}`);
}

// --- the server

let server;
let address = "127.0.0.1:0";

async function start() {
  server = spawn(path.join(programs, "playground"), ["--listen", address], { stdio: ["ignore", "pipe", "inherit"] });
  const line = await new Promise(resolve => server.stdout.once("data", data => resolve(String(data))));
  address = /^open http:\/\/([^/]+)\/\n$/.exec(line)[1];
}

/** Ends the server as a person does, and returns its exit status. */
function stop(signal) {
  return new Promise(resolve => { server.once("exit", resolve); server.kill(signal); });
}

function request(target, options = {}) {
  return new Promise((resolve, reject) => {
    const sent = http.request(`http://${address}${target}`, { agent: false, ...options }, response => {
      let body = "";
      response.on("data", data => { body += data; });
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body }));
    });
    sent.on("error", reject);
    sent.end();
  });
}

// --- the page

let browser;
let page;
const errors = [];

async function open() {
  const opened = await browser.newPage();
  opened.on("console", message => {
    if (message.type() === "error") errors.push(message.text());
  });
  opened.on("pageerror", error => errors.push(error.message));
  await opened.setViewport({ width: 1360, height: 900 });
  await opened.goto(`http://${address}/`);
  await until(opened, "events", /onmessage: text "Hello"/);
  return opened;
}

const text = (id, on = page) => on.evaluate(id => document.getElementById(id).innerText, id);
const click = (selector, on = page) => on.$eval(selector, node => node.click());
const set = (selector, value, on = page) => on.$eval(selector, (node, value) => {
  if (node.type === "checkbox") {
    if (node.checked !== value) node.click();
    return;
  }
  node.value = value;
  node.dispatchEvent(new Event("input", { bubbles: true }));
}, value);

/** Waits until the text of an element matches. */
async function until(on, id, pattern, patience = PATIENCE) {
  const end = Date.now() + patience;
  for (let seen; ;) {
    seen = await text(id, on);
    if (pattern.test(seen)) return seen;
    if (Date.now() > end) throw new Error(`#${id} has no ${pattern}: ${seen.slice(-400)}`);
    await sleep(30);
  }
}
const says = (pattern, patience) => until(page, "events", pattern, patience);

async function connect(subprotocol, deflate, expected = /onopen/) {
  await page.evaluate(() => document.getElementById("events").replaceChildren());
  await set("#connect select", subprotocol);
  await set("#connect [name=deflate]", deflate);
  await click("#connect-button");
  await says(expected);
}

const search = async words => { await set("#search", words); await sleep(150); return text("log-count"); };
const rows = () => page.$$eval(".log-row", nodes => nodes.map(node => node.innerText.replace(/\s+/g, " ")));

// --- the checks

check("the page has a strict policy, and the answers of plain HTTP are right", async () => {
  const root = await request("/");
  expect(root.status, 200);
  expectMatch(root.headers["content-security-policy"], /^default-src 'none'; script-src 'self'; style-src 'self'/);
  expect((await request("/", { method: "HEAD" })).body, "");
  expect((await request("/", { headers: { "If-None-Match": root.headers.etag } })).status, 304);
  expect((await request("/nothing")).status, 404);
  expect((await request("/ws")).status, 426);
  expect((await request("/", { method: "POST" })).status, 405);
});

check("text is echoed, and its frame is drawn bit by bit", async () => {
  await click("#say button");
  await says(/onmessage: text "Grüße, 世界 😀"/);
  expectMatch(await until(page, "detail", /Frame 1: text/), /on the wire/);
  expect(await page.$$eval(".figure .cell.fin code", nodes => nodes.map(node => node.textContent)), ["1"]);
});

check("16 MiB of binary are echoed, and bufferedAmount goes up and down", async () => {
  await click("#big button");
  await says(/bufferedAmount is now 1677\d{4}/);
  await says(/16777216 bytes, the same as sent/);
  await until(page, "buffered-amount", /^0$/);
  await until(page, "progress-text", /16.0 MiB of 16.0 MiB/);
});

check("a file is sent with its progress", async () => {
  const file = path.join(os.tmpdir(), `playground-${process.pid}`);
  fs.writeFileSync(file, Buffer.alloc(3_000_000, "file "));
  await connect("count", false);
  await (await page.$("#file input")).uploadFile(file);
  await click("#file button");
  await until(page, "progress-text", /2.9 MiB of 2.9 MiB/);
  await says(/text "116416 bytes"/); // the last message
  fs.unlinkSync(file);
});

check("compression is negotiated, and the page shows what a frame was compressed from", async () => {
  await connect("echo", true);
  expectMatch(await text("extensions"), /permessage-deflate/);
  await set("#say input", "again and ".repeat(20));
  await click("#say button");
  await says(/text "again and again/);
  await search("compressed out again");
  await (await page.waitForSelector(".log-row")).click();
  expectMatch(await until(page, "detail", /Compressed from/), /200 B became \d+ B on the wire/);
  // A short message is not compressed, although compression was negotiated.
  await set("#say input", "short");
  await click("#say button");
  await says(/onmessage: text "short"/);
  await search("text out short");
  await (await page.waitForSelector(".log-row")).click();
  const detail = await until(page, "detail", /text, from the server[^]*short/);
  if (/Compressed from/.test(detail)) throw new Error(detail);
  await search("");
});

check("subprotocols: a choice, none, and one that the server does not know", async () => {
  await connect("unheard-of,echo", false, /onopen: protocol "echo"/);
  await connect("", false, /onopen: protocol ""/);
  // WHATWG WebSockets: the browser fails the connection. Firefox does not.
  await connect("unheard-of", false, kind === "firefox" ? /onopen: protocol ""/ : /onclose: code 1006/);
  await connect("echo", false);
});

check("the page's close code and reason reach the server", async () => {
  await set("#close [name=code]", "4000");
  await set("#close [name=reason]", "bis später");
  await click("#close button");
  await says(/onclose: code 4000/);
  await until(page, "machine-end", /Received code 4000, “bis später”/);
  expect(await page.$eval("[data-state=closed]", node => node.classList.contains("lit")), true);
});

check("the server's close code and reason reach the page", async () => {
  await connect("echo", false);
  await click("#server-close button");
  await says(/onclose: code 4321, reason "enough for today", clean/);
});

check("a foreign origin gets a 403, which only the server tells", async () => {
  await connect("echo", false);
  const before = errors.length;
  await click("#foreign");
  await until(page, "foreign-result", /code 1006/);
  await sleep(200);
  errors.splice(before); // browsers report failed connections
  await until(page, "response", /403 Forbidden/);
  expectMatch(await text("request"), /Origin: null/);
});

check("the accept value is computed in steps", async () => {
  const [newest, before] = await page.$$eval("#handshake-choice option", nodes => nodes.map(node => node.value));
  await page.select("#handshake-choice", before ?? newest);
  await until(page, "accept", /which is the same/);
});

check("if the server does not read, the browser's amount grows", async () => {
  await set("#pause", true);
  await sleep(200);
  await click("#big button");
  await click("#big button");
  await sleep(1000);
  const amount = Number((await text("buffered-amount")).replaceAll(",", ""));
  if (!(amount > 4 << 20)) throw new Error(`bufferedAmount is ${amount}`);
  await set("#pause", false);
  await until(page, "buffered-amount", /^0$/);
  await says(/the same as sent[^]*the same as sent/);
});

check("if the page is slow, the server's amount grows, and it stops producing", async () => {
  await connect("echo", false);
  await set("#slow", true);
  await page.select("#produce select", "512 65536");
  await click("#produce button");
  const stopped = until(page, "machine-facts", /no: above the high water mark/, 5000);
  // Firefox reads on, whatever the page does.
  if (kind === "firefox") await stopped.catch(() => console.log("   (Firefox reads on)"));
  else await stopped;
  await set("#slow", false);
  await until(page, "machine-facts", /to produce\s+0/);
});

check("reads that are cut into single bytes change nothing", async () => {
  await connect("echo", true);
  await set("#cut", true);
  await set("#say input", "byte by byte: 世界");
  await click("#say button");
  await says(/onmessage: text "byte by byte: 世界"/);
});

check("an echo in fragments; the page shows where a character is cut", async () => {
  await page.evaluate(() => document.getElementById("events").replaceChildren());
  await set("#connect [name=deflate]", false);
  await set("#fragment input", "3");
  await click("#fragment button");
  await says(/onopen/);
  await set("#say input", "Grüße");
  await click("#say button");
  await says(/onmessage: text "Grüße"/);
  await search("continuation out");
  await (await page.waitForSelector(".log-row")).click();
  await until(page, "detail", /put together from 3 frames[^]*the border cuts a character: 1 of 2 bytes/);
  await search("");
  await set("#fragment input", "0");
  await connect("echo", false);
});

check("the server's ping is answered", async () => {
  await click("#ping button");
  await sleep(300);
  await search("pong in are");
  expectMatch((await rows()).join("\n"), /→ in pong 14 are you there\?/);
  await search("");
});

check("the log is used with keys alone", async () => {
  await page.focus("#log");
  await page.keyboard.press("Home");
  await until(page, "detail", /Frame 1:/);
  await page.keyboard.press("ArrowDown");
  await until(page, "detail", /Frame 2:/);
  expect(await page.$$eval(".log-row[aria-selected=true]", nodes => nodes.length), 1);
});

check("an export is a capture that the example `decode` reads", async () => {
  await connect("echo", true);
  await click("#say button");
  await says(/onmessage: text "Grüße"/);
  await sleep(200);
  await page.focus("#log");
  await page.keyboard.press("End");
  await page.evaluate(() => {
    window.captures = [];
    URL.createObjectURL = blob => { window.captures.push(blob); return "#"; };
    HTMLAnchorElement.prototype.click = () => {};
  });
  await click("#export-client");
  await click("#export-server");
  const files = await page.evaluate(() => Promise.all(window.captures.map(async blob => Array.from(new Uint8Array(await blob.arrayBuffer())))));
  const names = files.map((bytes, at) => {
    const name = path.join(os.tmpdir(), `capture-${process.pid}-${at}`);
    fs.writeFileSync(name, Buffer.from(bytes));
    return name;
  });
  const report = execFileSync(path.join(programs, "decode"), ["--client", names[0], "--server", names[1]], { encoding: "utf8" });
  expectMatch(report, /client to server[^]*Grüße[^]*server to client[^]*Grüße/);
  names.forEach(name => fs.unlinkSync(name));
});

check("every attack: this crate refuses all but what it may ignore, and the browser has a verdict", async () => {
  await click("#attack-all");
  const before = errors.length;
  await until(page, "attack-count", /^\d+ attacks done$/, 60_000);
  await sleep(500);
  errors.splice(before); // browsers report failed connections
  const table = await page.$$eval("#attack-table tbody tr", nodes => nodes.map(node => [...node.cells].map(cell => [cell.innerText, cell.className])));
  for (const row of table) console.log(`   ${row.map(([text]) => text).join(" | ")}`);
  expect(table.length, 35);
  for (const [[name], , browser, client, server] of table.slice(0, 22)) {
    expectMatch(browser[1], /accepts|refuses|waits/);
    for (const ours of [client, server]) expectMatch(ours[0], name === "Text after Close" ? /^closes with 1000/ : /answers with 100[279]$/);
  }
});

check("every attack by an opening handshake: this crate refuses it as a client and as a server, and the browser has a verdict", async () => {
  const rows = await page.$$eval("#attack-table tbody tr", nodes => nodes.slice(22).map(node => [...node.cells].map(cell => cell.innerText)));
  expect(rows.length, 13);
  for (const [, , browser, client, server] of rows) {
    expectMatch(browser, /^accepts it: the connection is open|^fails the connection: code 1006; on the wire: nothing$/);
    expectMatch(client, /\(RFC .*\); answers with nothing$/);
    expectMatch(server, /answers with 4\d\d$|answers with 505$|^a client sends none$/);
  }
  // No browser opens a connection without a proof that the server has understood it (RFC 6455 4.1).
  for (const [name, , browser] of rows.slice(0, 2)) expectMatch(`${name}: ${browser}`, /fails/);
});

check("100,000 frames: the log stays fast, is searched and paused", async () => {
  await connect("echo", false);
  await click("#log-clear");
  await page.select("#produce select", "100000 0");
  const begin = Date.now();
  await click("#produce button");
  await until(page, "log-count", /^10\d,\d{3} frames/, 60_000);
  console.log(`   all frames are in the log after ${Date.now() - begin} ms`);
  const longest = await page.evaluate(async () => {
    const log = document.getElementById("log");
    let longest = 0;
    for (let step = 0; step < 40; step += 1) {
      const begin = performance.now();
      log.scrollTop = log.scrollHeight * (step * 17 % 40) / 40;
      await new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)));
      longest = Math.max(longest, performance.now() - begin);
    }
    return longest;
  });
  console.log(`   the longest scroll takes ${longest.toFixed(0)} ms`);
  if (longest > 500) throw new Error(`scrolling takes ${longest} ms`);
  const shown = await page.$$eval(".log-row", nodes => nodes.length);
  if (shown > 100) throw new Error(`${shown} rows have elements`);
  expectMatch(await search("message, 77777 to go"), /^1 of /);
  await search("");
  await click("#log-pause");
  const paused = await text("log-count");
  await click("#say button");
  await says(/onmessage: text "Grüße"/);
  expect((await text("log-count")).split(" ")[0], paused.split(" ")[0]);
  await click("#log-pause");
  await click("#log-clear");
});

check("the room: three tabs hear each other, and bad clients harm nobody", async () => {
  const tabs = [page, await open(), await open()];
  for (const [at, tab] of tabs.entries()) {
    await set("#join input", `tab-${at}`, tab);
    await click("#join button", tab);
    await until(tab, "room-log", /you are in the room/);
  }
  for (const bot of ["stalls", "floods", "vanishes"]) await click(`[data-bot=${bot}]`);
  await until(page, "members", /stalls[^]*floods|floods[^]*stalls/);
  for (const [at, tab] of tabs.entries()) {
    await set("#room-say input", `from ${at}`, tab);
    await sleep(1100);
    await click("#room-say button", tab);
  }
  await until(page, "members", /stalls #\d+\s+no answer/);
  await sleep(300);
  for (const tab of tabs) {
    await tab.bringToFront(); // a page in the background draws nothing
    // The page shows 20 messages of a second; the log of frames has all.
    await set("#search", "from text out", tab);
    await until(tab, "log-count", /^[1-9]/);
  }
  expectMatch(await text("members"), /tab-0 #\d+\s+\d+\.\d ms[^]*tab-2 #\d+\s+\d+\.\d ms/);
  await page.bringToFront();
  await tabs[1].close();
  await tabs[2].close();
  await set("#search", "");
});

check("SIGINT closes with 1001; the page connects again when the server is back", async () => {
  await connect("echo", false);
  const before = errors.length;
  // The second time, the numbers of connections are those of the first time.
  for (let time = 0; time < 2; time += 1) {
    expect(await stop("SIGINT"), 0);
    await says(/onclose: code 1001/);
    await until(page, "banner", /The server is gone/);
    await sleep(1500);
    await click("#log-clear");
    await start();
    await says(/onclose: code 1001[^]*onopen/);
    await page.evaluate(() => document.getElementById("events").replaceChildren());
    await sleep(300);
    await click("#ping button");
    await sleep(300);
    await search("pong in are");
    expectMatch((await rows()).join("\n"), /→ in pong 14 are you there\?/);
    await search("");
  }
  errors.splice(before); // browsers report that nobody listens
});

check("axe-core finds no violation", async () => {
  await click("#say button");
  await sleep(300);
  for (const scheme of kind === "chromium" ? ["light", "dark"] : ["light"]) {
    if (kind === "chromium") await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await page.evaluate(`${axe}; undefined`);
    const { violations } = await page.evaluate(() => window.axe.run());
    for (const { id, help, nodes } of violations) console.log(`   ${scheme}: ${id}: ${help}: ${nodes.map(node => node.html.slice(0, 100)).join("; ")}`);
    expect(violations.length, 0, scheme);
  }
});

check("narrow screens do not scroll sideways", async () => {
  await page.setViewport({ width: 390, height: 844 });
  await sleep(200);
  const [inner, outer] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  if (inner > outer) throw new Error(`the page is ${inner} pixels wide`);
  await page.setViewport({ width: 1360, height: 900 });
});

check("no error on the console", async () => {
  expect(errors.filter(text => !/Sec-WebSocket-Protocol/.test(text)), []);
});

// --- screenshots

async function shoot() {
  const shot = async (name, width, height, scheme, at) => {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await page.setViewport({ width, height, deviceScaleFactor: 1 });
    await page.evaluate(at => { document.documentElement.style.scrollBehavior = "auto"; document.getElementById(at).scrollIntoView(); }, at);
    await sleep(400);
    await page.screenshot({ path: path.join(screenshots, `${name}.png`) });
  };
  page = await open();
  await set("#say input", "Grüße, 世界 😀");
  await set("#fragment input", "5");
  await page.evaluate(() => document.getElementById("events").replaceChildren());
  await click("#fragment button");
  await says(/onopen/);
  await sleep(300);
  await click("#ping button");
  await sleep(200);
  await click("#say button");
  await says(/onmessage: text "Grüße/);
  await set("#fragment input", "0");
  await click("#connect-button");
  await sleep(500);
  await click("#big button");
  await says(/the same as sent/);
  await sleep(1500);
  await shot("light", 1360, 900, "light", "try");
  await set("#fragment input", "5");
  await click("#fragment button");
  await sleep(500);
  await click("#log-clear");
  await click("#ping button");
  await click("#say button");
  await sleep(500);
  await page.focus("#log");
  for (const key of ["Home", "ArrowDown", "ArrowDown"]) await page.keyboard.press(key);
  await page.evaluate(() => document.activeElement.blur());
  await shot("frames", 1360, 900, "light", "frames");
  await shot("dark", 1360, 900, "dark", "frames");
  await shot("narrow", 390, 844, "light", "frames");
  await shot("handshake", 1360, 900, "light", "handshake");
  await click("#attack-all");
  await until(page, "attack-count", /done$/, 60_000);
  await shot("attacks", 1360, 900, "light", "attacks");
  await click("#join button");
  for (const bot of ["stalls", "floods"]) await click(`[data-bot=${bot}]`);
  await until(page, "members", /floods/);
  await sleep(2500);
  await click("#room-say button");
  await sleep(1500);
  await shot("room", 1360, 760, "dark", "room");
}

(async () => {
  await start();
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), "browser-"));
  browser = await puppeteer.launch(kind === "firefox"
    ? { browser: "firefox", executablePath: "/usr/bin/firefox-esr", headless: true, userDataDir: profile }
    : {
      executablePath: "/usr/bin/chromium", headless: true, userDataDir: profile,
      args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
    });
  page = await open();
  const only = process.env.ONLY ? new RegExp(process.env.ONLY) : /./;
  for (const [name, run] of checks.filter(([name]) => only.test(name))) {
    const begin = Date.now();
    try {
      await run();
      console.log(`ok ${kind}: ${name}, ${Date.now() - begin} ms`);
    } catch (error) {
      console.log(`FAILED ${kind}: ${name}: ${error.message}`);
      await page.screenshot({ path: path.join(os.tmpdir(), `failed-${kind}.png`) }).catch(() => {});
    }
  }
  if (screenshots && kind === "chromium") await shoot();
  await browser.close();
  await stop("SIGTERM");
  fs.rmSync(profile, { recursive: true, force: true });
  console.log("done");
})().catch(error => {
  console.error(error);
  server?.kill();
  process.exit(1);
});
