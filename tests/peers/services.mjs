// A person with a browser (Debian's Chromium, driven by playwright-core) and three services behind one gateway: two on
// hosts of their own, one behind a prefix of the gateway's host. One sign-in opens all, one sign-out closes all.
//
//   node services.mjs --gateway URL --email ADDRESS --shots DIRECTORY --canary SECRET
//
// Last line on standard output: {"done": true, "pages": N, "paths": [those of the gateway's own at a service's host]}. Any failure is an exit code that is not 0 and a reason on
// standard error.

import { mkdirSync } from "node:fs";
import { parseArgs } from "node:util";
import path from "node:path";
import { chromium } from "playwright-core";
import { lookAt } from "./looks.mjs";

const { values: options } = parseArgs({
  options: {
    gateway: { type: "string" },
    email: { type: "string" },
    shots: { type: "string" },
    canary: { type: "string" },
  },
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
// Everything that the browser is told, whatever asked for it.
const told = [];
context.on("response", (response) => {
  if (response.headers()["content-type"]?.startsWith("text/event-stream")) return;
  const head = response.allHeaders().then((headers) => JSON.stringify(headers), () => "");
  const late = new Promise((resolve) => setTimeout(resolve, 10_000, ""));
  const body = Promise.race([response.text().catch(() => ""), late]);
  told.push(Promise.all([response.url(), head, body]));
});
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

  // A long event stream is neither buffered nor cut while nothing comes: no error, no second connection.
  const events = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const got = [];
        const source = new EventSource("events");
        source.onmessage = (message) => {
          got.push(message.data);
          if (got.length < 40) return;
          source.close();
          resolve(got.join());
        };
        source.onerror = () => resolve(`cut after ${got.length}`);
      }),
  );
  check(events === [...Array(40).keys()].join(), `the event stream came as ${events}`);

  // A page that shows what it was sent shows no secret of the gateway's: its reply is cut before it.
  const debug = await page.evaluate(() => fetch("debug").then((reply) => reply.text()).catch(() => "cut"));
  check(debug === "cut", `a page that repeats the gateway's secret came as ${debug}`);

  // A socket that says what it was sent ends before it.
  const said = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const at = new URL("live", location.href);
        at.protocol = "ws:";
        const socket = new WebSocket(at);
        const got = [];
        socket.onopen = () => socket.send("hello");
        socket.onmessage = (message) => {
          got.push(message.data);
          socket.send("debug");
        };
        socket.onclose = (end) => resolve({ got, code: end.code, reason: end.reason });
      }),
  );
  check(said.got.join() === `hello ${options.email}` && said.code === 1011, `the socket said ${JSON.stringify(said)}`);

  // The gateway's own page lists them, and signs out of all.
  await page.goto(`${options.gateway}/app`);
  await shot("home");

  // The service's own page: how its upstreams stand, and what its own document has.
  await page.goto(`${options.gateway}/app/services/dash`);
  const standing = await page.textContent("#upstreams ~ .table");
  check(standing.includes("healthy") && standing.includes("draining"), `upstreams stand so: ${standing}`);
  check(!standing.includes("127.0.0.1"), "who could not change a service is told no address");
  await lookAt(page, "service", options.shots);
  pages += 1;
  await page.click('a[href="/app/services/dash/openapi"]');
  await page.waitForURL(`${options.gateway}/app/services/dash/openapi`);
  const document = await page.textContent("main");
  for (const word of ["Dashboard API", "/home", "/panels/{panel_id}", "DELETE"]) {
    check(document.includes(word), `the document shows no ${word}: ${document}`);
  }
  await lookAt(page, "service-openapi", options.shots);
  pages += 1;
  await page.goto(`${options.gateway}/app`);
  await page.locator('form[action="/auth/logout"] button').first().click();
  await page.waitForLoadState();
  for (const url of [`${wiki}/home`, `${chart}/home`, `${dash}/home`]) {
    await page.goto(url);
    check((await page.locator("#who").count()) === 0, `${url} is open after the sign-out`);
  }
  await shot("signed-out");

  const heard = (await Promise.all(told)).flat();
  check(heard.length > 60, `only ${heard.length / 3} replies were looked at`);
  const kept = JSON.stringify(await context.storageState());
  for (const text of [...heard, kept, await page.content()]) {
    check(!text.includes(options.canary), `the gateway's secret is in the browser: ${text.slice(0, 300)}`);
  }
} catch (error) {
  // What went wrong is what is to be told, also when no more pictures can be taken.
  await shot("failed").catch(() => {});
  process.stderr.write(`at ${page.url()}\n${(await page.content()).slice(0, 2000)}\n`);
  throw error;
} finally {
  await browser.close();
}
process.stdout.write(`${JSON.stringify({ done: true, pages, paths })}\n`);
