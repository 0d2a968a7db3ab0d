// Drives the echo server's page in headless Chromium: page.cjs URL SCREENSHOT
const { chromium } = require("playwright-core");

const [url, screenshot] = process.argv.slice(2);
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

(async () => {
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: flags });
  const page = await browser.newPage();
  await page.goto(url);
  const says = text => page.waitForFunction(text => document.getElementById("log").textContent.includes(text), text, { timeout: 10000 });
  await says("open");
  await page.click("#say button:not([type])");
  await says("received text: Hello");
  await page.fill("input[name=text]", "Grüße, 世界 😀");
  await page.click("#say button:not([type])");
  await says("received text: Grüße, 世界 😀");
  await page.click("#big");
  await says("bufferedAmount is now 1048576");
  await says("received binary: 1048576 bytes");
  await page.waitForFunction(() => document.getElementById("buffered").textContent === "0");
  await page.fill("input[name=code]", "4321");
  await page.fill("input[name=reason]", "bis später");
  await page.click("#close button");
  await says('closed: code 4321, reason "", clean');
  await page.screenshot({ path: screenshot });
  console.log(`ok ${url}`);
  await browser.close();
})().catch(error => { console.error(error); process.exit(1); });
