// A person with a browser (Debian's Chromium, driven by playwright-core) and three services behind one gateway: two on
// hosts of their own, one behind a prefix of the gateway's host. One sign-in opens all, one sign-out closes all.
//
//   node services.mjs --gateway URL --email ADDRESS --shots DIRECTORY
//
// Last line on standard output: {"done": true, "pages": N, "paths": [those of the gateway's own at a service's host]}. Any failure is an exit code that is not 0 and a reason on
// standard error.

import { mkdirSync } from "node:fs";
import { parseArgs } from "node:util";
import path from "node:path";
import { chromium } from "playwright-core";
import { lookAt } from "./looks.mjs";

const { values: options } = parseArgs({
  options: { gateway: { type: "string" }, email: { type: "string" }, shots: { type: "string" } },
});

function check(holds, what) {
  if (!holds) throw new Error(what);
}

const { port } = new URL(options.gateway);
const wiki = `http://wiki.localhost:${port}`;
const chart = `http://chart.localhost:${port}`;
const dash = `${options.gateway}/dash`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});
const context = await browser.newContext();
const page = await context.newPage();
page.setDefaultTimeout(30_000);
mkdirSync(options.shots, { recursive: true });
let pages = 0;
const paths = [];
async function shot(name) {
  pages += 1;
  await page.screenshot({ path: path.join(options.shots, `${name}.png`) });
}

try {
  // Nobody is signed in: the deep link leads to the sign-in, and back to the very page.
  await page.goto(`${wiki}/home?page=7`);
  await shot("sign-in");
  await page.locator('main a:has-text("Sign in with")').first().click();
  await page.locator(`button[value="${options.email}"], button:has-text("${options.email}")`).first().click();
  await page.waitForURL(`${wiki}/home?page=7`);
  check((await page.textContent("#who")) === options.email, `the wiki thinks that ${await page.textContent("#who")} calls`);
  await shot("wiki");

  // The gateway's own page at the service's host.
  const place = "/.rack-gateway/sign-out";
  const shown = await page.goto(`${wiki}${place}`);
  check(shown.status() === 200, `${place} answers ${shown.status()}`);
  await lookAt(page, "host-sign-out", options.shots);
  pages += 1;
  paths.push(place);

  // The second host asks nobody anything.
  await page.goto(`${chart}/home`);
  check(page.url() === `${chart}/home`, `a second prompt: ${page.url()}`);
  check((await page.textContent("#who")) === options.email, "the chart knows the same person");

  // Behind a prefix: redirects, links, cookies and the WebSocket stay below it.
  await page.goto(`${dash}/`);
  check(page.url() === `${dash}/home`, `a redirect left the prefix: ${page.url()}`);
  await page.waitForFunction((email) => document.getElementById("live").textContent === `hello ${email}`, options.email);
  await page.click("#more");
  await page.waitForURL(`${dash}/home?from=more`);
  check((await page.textContent("#cookie")) === "dashboard=1", `the service saw the cookies ${await page.textContent("#cookie")}`);
  const cookie = (await context.cookies(dash)).find((one) => one.name === "dashboard" && one.domain === "localhost");
  check(cookie?.path === "/dash" || cookie?.path === "/dash/", `the service's cookie is for ${cookie?.path}`);
  await shot("dashboard");

  // The gateway's own page lists them, and signs out of all.
  await page.goto(`${options.gateway}/app`);
  await shot("home");
  await page.locator('form[action="/auth/logout"] button').first().click();
  await page.waitForLoadState();
  for (const url of [`${wiki}/home`, `${chart}/home`, `${dash}/home`]) {
    await page.goto(url);
    check((await page.locator("#who").count()) === 0, `${url} is open after the sign-out`);
  }
  await shot("signed-out");
} catch (error) {
  await shot("failed");
  process.stderr.write(`at ${page.url()}\n${(await page.content()).slice(0, 2000)}\n`);
  throw error;
} finally {
  await browser.close();
}
process.stdout.write(`${JSON.stringify({ done: true, pages, paths })}\n`);
