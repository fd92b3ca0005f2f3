// A day of four people, each with a browser of their own: a new colleague signs in, sets up an authenticator, promotes a
// release, watches the log and works in a terminal; another one is refused and asks for a role; an admin approves a
// deploy, reads why the colleague was refused, and gives the role; an auditor replays the session and finds it in the log.
//
//   node day.mjs --gateway URL --email DOMAIN --shots DIRECTORY [--phone] [--dark]
//
// It asks its parent as browser.mjs does: {"ask": "code", "secret"} and {"ask": "approval"}, the id of a deploy that waits.
// Last line: {"done": true, "pages": N, "paths": []}.

import { mkdirSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { ask, say } from "./asking.mjs";
import { check } from "./looks.mjs";

const { values: options } = parseArgs({
  options: {
    gateway: { type: "string" },
    email: { type: "string" },
    shots: { type: "string" },
    phone: { type: "boolean", default: false },
    dark: { type: "boolean", default: false },
  },
});

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});
const complaints = [];
let pages = 0;
let at = null;
mkdirSync(options.shots, { recursive: true });

// A browser of this person's, at the size and in the theme that were asked for.
async function person(name) {
  const context = await browser.newContext({
    viewport: options.phone ? { width: 390, height: 800 } : { width: 1280, height: 900 },
    hasTouch: options.phone,
    colorScheme: options.dark ? "dark" : "light",
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on("console", (message) => {
    const isStatus = message.text().startsWith("Failed to load resource: the server responded with a status of 4");
    if (message.type() === "error" && !isStatus && page.url().startsWith(options.gateway)) complaints.push(`${page.url()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error}`));
  const email = `${name}@${options.email}`;
  const own = {
    page,
    name,
    email,
    async go(place) {
      at = page;
      const reply = await page.goto(new URL(place, options.gateway).href);
      check(reply.status() === 200, `${place} answers ${reply.status()} to ${name}`);
    },
    async look(what) {
      pages += 1;
      const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      check(beyond <= 0, `${what}: ${beyond} px stick out sideways`);
      await page.screenshot({ path: path.join(options.shots, `${String(pages).padStart(2, "0")}-${what}.png`), fullPage: true });
    },
    async code() { return ask({ ask: "code", secret: own.secret }); },
    async signIn() {
      at = page;
      await page.goto(new URL("/app/account", options.gateway).href);
      await page.locator('main a:has-text("Sign in with")').first().click();
      await page.locator(`button[value="${email}"], button:has-text("${email}")`).first().click();
      await page.waitForURL(/\/app\/account$/);
    },
    async enrol() {
      await own.go("/app/account/factors");
      await page.fill('form[action="/app/account/factors/enrol/totp"] input[name="name"]', "phone");
      await page.locator('button:has-text("Go on")').click();
      await page.locator("pre.secret code").waitFor({ state: "attached" });
      own.secret = (await page.locator("pre.secret code").textContent()).replace(/\s/g, "");
      await page.fill('input[name="code"]', await own.code());
      await page.locator('button:has-text("Confirm")').first().click();
      await page.locator("ul.codes li").first().waitFor();
    },
  };
  return own;
}

async function run() {
  // Kim is new here.
  const kim = await person("kim");
  await kim.signIn();
  await kim.look("kim-signed-in");
  await kim.enrol();
  await kim.look("kim-has-a-factor");

  // The release before runs again: what it changes is read first, and the factor is asked for in place.
  await kim.go("/app/apps/myapp/releases");
  await kim.page.locator("main tbody th a").last().click();
  await kim.page.locator('h1:has-text("Release")').waitFor();
  const release = (await kim.page.locator("h1 code").textContent()).trim();
  await kim.look("kim-reads-a-release");
  await kim.page.locator('summary:has-text("Promote this release")').click();
  await kim.page.locator('form[action$="/promote"] input[name="confirm"]').fill(release);
  await kim.page.locator('form[action$="/promote"] button:has-text("Promote it")').click();
  const dialog = kim.page.locator('dialog input[name="code"]');
  const done = kim.page.waitForURL(/done=release-promoted/).then(() => "done");
  if ((await Promise.race([dialog.waitFor().then(() => "asked"), done])) === "asked") {
    await kim.look("kim-is-asked-for-a-factor");
    await dialog.fill(await kim.code());
    await kim.page.locator('dialog button:has-text("Confirm")').click();
    await done;
  }
  await kim.look("kim-promoted");

  // The log, as it is written.
  await kim.go("/app/apps/myapp/logs");
  await kim.page.locator('[data-state]:has-text("live")').waitFor();
  await kim.page.waitForFunction(() => document.querySelector(".feed-lines").textContent.trim() !== "");
  await kim.look("kim-watches-the-log");

  // A terminal, which is recorded.
  await kim.go("/app/apps/myapp/processes");
  await kim.page.locator("main tbody th a").first().click();
  await kim.page.locator("[data-begin] button").click();
  await kim.page.locator('[data-says]:has-text("Open.")').waitFor();
  await kim.page.locator("[data-screen]").focus();
  await kim.page.keyboard.type("what a day");
  await kim.page.keyboard.press("Enter");
  await kim.page.locator('[data-screen]:has-text("what a day")').waitFor();
  await kim.look("kim-in-a-terminal");
  await kim.page.keyboard.type("exit");
  await kim.page.keyboard.press("Enter");
  await kim.page.locator('[data-says]:has-text("exit code 0")').waitFor();

  // Lee may look and no more. The page says so, and policy does too.
  const lee = await person("lee");
  await lee.signIn();
  await lee.enrol();
  await lee.go("/app/apps/myapp/services");
  check((await lee.page.locator('[aria-disabled="true"]:has-text("Scale")').count()) > 0, "what lee may not do is greyed");
  await lee.look("lee-may-only-look");
  const refused = await lee.page.goto(new URL("/app/apps/myapp/releases", options.gateway).href);
  check(refused.status() === 403, `releases answer ${refused.status()} to lee`);
  const id = (await lee.page.locator('dt:has-text("Request") + dd code').textContent()).trim();
  await lee.look("lee-is-refused");
  await lee.page.locator('main a:has-text("Ask for it")').click();
  const asking = 'form[action="/app/elevations"]';
  check((await lee.page.locator(`${asking} select[name="role"]`).inputValue()) === "ops", "the form knows the role");
  check((await lee.page.locator(`${asking} input[name="app"]`).inputValue()) === "myapp", "and the app");
  await lee.page.fill(`${asking} input[name="for"]`, "30m");
  await lee.page.fill('form[action="/app/elevations"] input[name="reason"]', "to see what runs");
  await lee.page.locator('form[action="/app/elevations"] button:has-text("Ask")').click();
  await lee.page.waitForURL(/done=elevation-asked/);
  await lee.look("lee-asks-for-a-role");

  // An admin approves what waits, reads why lee was refused, and gives the role for a while.
  const root = await person("root");
  await root.signIn();
  await root.enrol();
  const approval = await ask({ ask: "approval" });
  await root.go(`/app/approvals/${approval}`);
  await root.look("root-reads-a-deploy");
  await root.page.locator('form[action$="/approve"] input[name="_code"]').fill(await root.code());
  await root.page.locator('form[action$="/approve"] button:has-text("Approve")').click();
  await root.page.waitForURL(/done=approval-approved/);
  await root.go(`/app/why/${id}`);
  check((await root.page.locator("main").innerText()).includes(lee.email), "it says who was refused");
  await root.look("root-reads-why");
  await root.go("/app/elevations?all=true");
  await root.page.locator('summary:has-text("Decide")').first().click();
  await root.page.locator('form[action$="/approve"] input[name="_code"]').first().fill(await root.code());
  await root.page.locator('form[action$="/approve"] button:has-text("Approve")').first().click();
  await root.page.waitForURL(/done=elevation-approved/);
  await root.look("root-gave-the-role");
  await lee.go("/app/apps/myapp/releases");
  await lee.look("lee-sees-releases");

  // An auditor replays the session, and finds it in the log.
  const ada = await person("ada");
  await ada.signIn();
  await ada.enrol();
  await ada.go("/app/recordings?all=true");
  await ada.page.locator('main a:has-text("Look")').first().click();
  const confirm = ada.page.locator('main :is(a, button, summary):has-text("Confirm now")');
  await Promise.race([confirm.first().waitFor(), ada.page.locator("[data-play]").waitFor()]);
  if (await confirm.count()) {
    await ada.look("ada-confirms");
    const wanted = ada.page.url();
    await confirm.first().click();
    await ada.page.locator('input[name="code"]').first().waitFor();
    await ada.page.locator('input[name="code"]').first().fill(await ada.code());
    await ada.page.locator('button:has-text("Confirm")').last().click();
    await ada.page.waitForLoadState();
    await ada.go(new URL(wanted).pathname);
  }
  await ada.page.locator("[data-play]").click();
  await ada.page.locator('[data-replay] [data-screen]:has-text("what a day")').waitFor();
  await ada.look("ada-replays");
  await ada.go("/app/audit?app=myapp&action=convox:process:exec");
  check((await ada.page.locator("main").innerText()).includes(kim.email), "the session is in the log");
  await ada.look("ada-finds-it");
}

try {
  await run();
  check(complaints.length === 0, `the browser complains: ${complaints.join("; ")}`);
  say({ done: true, pages, paths: [] });
} catch (error) {
  const text = await at?.locator("main").innerText().catch(() => "");
  process.stderr.write(`${error.stack}\nat ${at?.url()}: ${(text ?? "").slice(0, 800)}\n`);
  process.exitCode = 1;
} finally {
  await browser.close();
  process.stdin.destroy();
}
