// Tests docs/examples/h2 with headless Chromium over TLS: a page of the server opens several WebSockets, which Chromium
// sends as extended CONNECT on the page's own connection. The server's log proves it. Prints a line for each check, then
// `N passed, N failed`.
//
//   node browser.cjs DIR      the programs are in DIR
const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const readline = require("node:readline");
const { chromium } = require("playwright-core");

const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--ignore-certificate-errors"];

/** Runs in the page: opens sockets at the same time, and returns what each has seen. */
const in_page = ([url, count]) => Promise.all(Array.from({ length: count }, (_, i) => new Promise(resolve => {
  const socket = new WebSocket(`${url}/socket/${i}`);
  const seen = { extensions: "", text: "", bytes: 0 };
  const big = new Uint8Array(1_000_000).fill(i);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    seen.extensions = socket.extensions;
    socket.send(`Grüße, 世界 ${i}`);
    socket.send(big);
  };
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") seen.text = data;
    else {
      const bytes = new Uint8Array(data);
      seen.bytes = bytes.every(byte => byte === i) ? bytes.length : -1;
      socket.close(4000 + i, "done");
    }
  };
  socket.onclose = ({ code, reason, wasClean }) => resolve({ ...seen, code, reason, wasClean });
})));

(async () => {
  const server = spawn(`${process.argv[2]}/server`, ["127.0.0.1:0", "--tls"], { stdio: ["ignore", "pipe", "inherit"] });
  let browser;
  const checks = {};
  try {
    const log = [];
    const port = await new Promise((resolve, reject) => {
      server.on("exit", () => reject(new Error("the server has ended")));
      readline.createInterface(server.stdout).on("line", line => {
        log.push(line);
        const [, port] = line.match(/^listening on wss:\/\/.*:(\d+)$/) ?? [];
        if (port) resolve(port);
      });
    });
    browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: flags });
    const page = await browser.newPage({ ignoreHTTPSErrors: true });
    await page.goto(`https://localhost:${port}/`);
    const count = 5;
    const seen = await page.evaluate(in_page, [`wss://localhost:${port}`, count]);
    const range = Array.from({ length: count }, (_, i) => i);
    checks.echoes_and_close_codes_arrive = () => assert.deepEqual(
      seen,
      range.map(i => ({
        extensions: seen[0].extensions,
        text: `Grüße, 世界 ${i}`,
        bytes: 1_000_000,
        code: 4000 + i,
        // The server's answer to a Close has no reason.
        reason: "",
        wasClean: true,
      })),
    );
    checks.compression_is_negotiated = () => assert.match(seen[0].extensions, /^permessage-deflate/);
    checks.sockets_come_as_extended_connect = () => {
      for (const i of range) {
        const pattern = new RegExp(`^stream \\d+: extended CONNECT for localhost:${port} /socket/${i}$`);
        assert.ok(log.some(line => pattern.test(line)), log.join("\n"));
      }
    };
    checks.the_page_and_its_sockets_share_a_connection = () => {
      // Stream numbers of one connection are all different, and begin with the page's.
      const streams = log.filter(line => /GET|extended CONNECT/.test(line)).map(line => line.match(/^stream (\d+)/)[1]);
      assert.equal(new Set(streams).size, streams.length, log.join("\n"));
      assert.ok(streams.includes("1"));
    };
    checks.the_server_sees_a_clean_end = () => {
      for (const i of range) {
        assert.ok(log.some(line => line.includes(`/socket/${i}: connection was closed with code ${4000 + i}, reason "done"`)), log.join("\n"));
      }
    };
  } catch (error) {
    checks.chromium_speaks_with_the_server = () => { throw error; };
  }
  await browser?.close();
  server.removeAllListeners("exit");
  server.kill();
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    try {
      check();
      console.log(`ok      chromium: ${name}`);
    } catch (error) {
      failed++;
      console.log(`FAILED  chromium: ${name}: ${error.stack}`);
    }
  }
  console.log(`${Object.keys(checks).length - failed} passed, ${failed} failed`);
  process.exit(failed > 0 ? 1 : 0);
})();
