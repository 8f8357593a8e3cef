// A report in a real browser: opened from disk at phone and desk width in both themes, every button pressed.
//
// usage: node benchmarks/browser.mjs report.html [folder for screenshots]
//
// Needs Chromium (CHROMIUM names it, else /usr/bin/chromium) and, from npm, puppeteer-core and axe-core in a
// node_modules that NODE_MODULES names (else ./node_modules). Fails on an error of the console, a request of the network,
// a page wider than its window, a button that does nothing, or a finding of axe.
import { mkdtempSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [page = "report.html", shots = "screenshots"] = process.argv.slice(2);
const require = createRequire(resolve(process.env.NODE_MODULES ?? "node_modules", "x.js"));
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const off = ["background-networking", "component-update", "sync", "quic", "gpu"].map((what) => `--disable-${what}`);

mkdirSync(shots, { recursive: true });
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  userDataDir: mkdtempSync(join(tmpdir(), "browser-")),
  args: ["--headless", "--no-sandbox", "--no-first-run", ...off],
});
const wrong = [];
for (const width of [390, 1440]) {
  for (const theme of ["light", "dark"]) wrong.push(...(await visit(width, theme)));
}
await browser.close();
console.log(wrong.length ? wrong.join("\n") : "nothing is wrong");
process.exitCode = wrong.length ? 1 : 0;

async function visit(width, theme) {
  const found = [];
  const say = (what) => found.push(`${width} px, ${theme}: ${what}`);
  const tab = await browser.newPage();
  tab.on("console", (message) => ["error", "warn"].includes(message.type()) && say(message.text()));
  tab.on("pageerror", (error) => say(String(error)));
  tab.on("request", (request) => request.url() === pathToFileURL(resolve(page)).href || say(`asks for ${request.url()}`));
  await tab.setViewport({ width, height: 900 });
  await tab.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
  await tab.goto(pathToFileURL(resolve(page)).href, { waitUntil: "load" });
  await tab.screenshot({ path: join(shots, `${width}-${theme}.png`), fullPage: true });
  for (const line of await tab.evaluate(press)) say(line);
  for (const line of await audit(tab)) say(line);
  await tab.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = true)));
  for (const line of await audit(tab)) say(`opened: ${line}`);
  await tab.screenshot({ path: join(shots, `${width}-${theme}-opened.png`), fullPage: true });
  const wide = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (wide > 0) say(`the page is ${wide} px wider than its window`);
  if (theme === "light" && width > 1000) await tab.pdf({ path: join(shots, "print.pdf"), format: "A4" });
  await tab.close();
  return found;
}

// Runs in the page: presses every button of a table twice, and the one of the theme.
function press() {
  const said = [];
  for (const button of document.querySelectorAll("th button")) {
    const header = button.closest("th");
    const states = [1, 2].map(() => (button.click(), header.getAttribute("aria-sort")));
    if (String(states) !== "ascending,descending") said.push(`${button.textContent}: sorted ${states}`);
  }
  const paper = () => getComputedStyle(document.body).backgroundColor;
  const button = document.getElementById("theme");
  const papers = [paper(), (button.click(), paper()), (button.click(), paper())];
  if (papers[0] === papers[1] || papers[0] !== papers[2]) said.push(`theme: ${papers}`);
  return said;
}

// Evaluated through the debugger, which the page's own policy does not stop.
async function audit(tab) {
  await tab.evaluate(axe);
  const { violations } = await tab.evaluate(() => window.axe.run());
  return violations.map(({ id, nodes }) => `${id}: ${nodes.length} places, the first ${nodes[0].html.slice(0, 200)}`);
}
