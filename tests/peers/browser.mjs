// A person with a browser (Debian's Chromium, driven by playwright-core): signs in, sets up an authenticator, makes a
// token, lets a device in, confirms a refused command, signs out; then an auditor reads what it was. Looks at every page
// in both themes and at phone width, and asks axe.
//
//   node browser.mjs --gateway URL --email ADDRESS --shots DIRECTORY [--without-javascript] [--refused ADDRESS]
//                    [--auditor ADDRESS] [--provider dev|certified] [--insecure] [--only-sign-in]
//
// It asks its parent for what a browser cannot know, one line of JSON each on standard output, and reads the answer, one
// line on standard input:
//   {"ask": "code", "secret": "BASE32"}   -> the six digits that an authenticator with this secret shows now
//   {"ask": "challenge"}                  -> the address at which a refused command can be confirmed
//   {"ask": "repeat"}                     -> "ok" when the refused command passed now
//   {"ask": "device"}                     -> the code that a device shows which asks to be let in
// Last line: {"done": true, "pages": N, "paths": [those that were looked at]}. Any failure is an exit code that is not 0 and a reason on standard error.

import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { ask, say } from "./asking.mjs";
import { check, lookAt } from "./looks.mjs";

const { values: options } = parseArgs({
  options: {
    gateway: { type: "string" },
    email: { type: "string" },
    refused: { type: "string" },
    auditor: { type: "string" },
    shots: { type: "string" },
    provider: { type: "string", default: "dev" },
    "without-javascript": { type: "boolean", default: false },
    "only-sign-in": { type: "boolean", default: false },
    insecure: { type: "boolean", default: false },
  },
});

const javaScriptEnabled = !options["without-javascript"];

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP gateway.example.com 127.0.0.1, MAP fonts.googleapis.com 127.0.0.1"],
});
const context = await browser.newContext({ javaScriptEnabled, ignoreHTTPSErrors: options.insecure });
const page = await context.newPage();
page.setDefaultTimeout(30_000);
// What a provider's own pages do wrong is not the gateway's.
const isOwn = (url) => url.startsWith(options.gateway);
const complaints = [];
page.on("console", (message) => {
  // A refusal is a reply that the browser reports as one; that is not an error of the page.
  const isStatus = message.text().startsWith("Failed to load resource: the server responded with a status of 4");
  if (message.type() === "error" && !isStatus && isOwn(page.url())) complaints.push(`${page.url()}: ${message.text()}`);
});
page.on("pageerror", (error) => isOwn(page.url()) && complaints.push(`${page.url()}: ${error}`));
page.on("requestfailed", (request) => {
  if (isOwn(request.url()) && !request.failure()?.errorText.includes("ERR_ABORTED")) complaints.push(`${request.url()}: ${request.failure()?.errorText}`);
});

let pages = 0;
const paths = new Set();

async function look(name) {
  if (options["only-sign-in"]) return;
  pages += 1;
  paths.add(new URL(page.url()).pathname);
  await lookAt(page, name, javaScriptEnabled ? options.shots : undefined);
}

async function visit(place, name) {
  const reply = await page.goto(new URL(place, options.gateway).href);
  check(reply.status() === 200, `${place} answers ${reply.status()}`);
  await look(name);
}

// What this browser saw of the log is held against it; a log that is not the one it saw is an alarm that stays, and nothing can be
// sent until somebody takes it.
async function lookAtTheLogAsAWitness() {
  const badge = page.locator("[data-log-badge]").first();
  const badgeSays = async (state) => page.waitForSelector(`[data-log-badge="${state}"]`, { timeout: 20000 });
  await page.goto(new URL("/app/audit", options.gateway).href);
  await badgeSays("held");
  await page.goto(new URL("/app/audit", options.gateway).href);
  await badgeSays("held");
  check((await badge.textContent()).includes("are unchanged"), "the badge says what the log was held against");
  check(!(await badge.textContent()).includes("cannot check"), "the signature was checked");
  await look("audit-witnessed");
  await page.evaluate(() => {
    const state = JSON.parse(localStorage.getItem("rack-gateway.log"));
    const root = `${state.root[0] === "A" ? "B" : "A"}${state.root.slice(1)}`;
    localStorage.setItem("rack-gateway.log", JSON.stringify({ ...state, root }));
  });
  await page.goto(new URL("/app/audit", options.gateway).href);
  await badgeSays("alarm");
  await page.goto(new URL("/app/account/sessions", options.gateway).href);
  await page.waitForSelector("[data-log-alarm]");
  await look("log-alarm");
  const form = page.locator('main form[method="post"] button').first();
  check((await form.getAttribute("aria-disabled")) === "true", "what would be sent cannot be pressed");
  await form.click({ force: true });
  check(page.url().endsWith("/app/account/sessions") && (await page.locator("[data-log-alarm]").count()) === 1, "nothing was sent");
  const [download] = await Promise.all([page.waitForEvent("download"), page.click('button:has-text("Keep the evidence")')]);
  check(download.suggestedFilename() === "audit-log-alarm.json", "the evidence is a file");
  page.once("dialog", (dialog) => dialog.accept());
  await Promise.all([page.waitForEvent("load"), page.click('button:has-text("Trust it as it is now")')]);
  check((await page.locator("[data-log-alarm]").count()) === 0, "whoever took the alarm goes on");
  await page.goto(new URL("/app/audit", options.gateway).href);
  await badgeSays("held");
}

async function sessionCookie() {
  return (await context.cookies()).find((cookie) => cookie.name === "__Host-rgw");
}

async function chooseAtProvider(email) {
  if (options.provider === "dev") {
    await page.locator(`button[value="${email}"], button:has-text("${email}")`).first().click();
    return;
  }
  // The certified provider's own development pages: any login, any password, then consent.
  await page.fill('input[name="login"]', email);
  await page.fill('input[name="password"]', "any");
  await page.click('button[type="submit"]');
  const consent = page.locator('form[action$="/confirm"] button[type="submit"], button:has-text("Continue")');
  await consent.first().click();
}

async function signIn(email) {
  await page.goto(new URL("/app/account", options.gateway).href);
  check(page.url().includes("/auth/login"), `without a session one is sent to sign in, not to ${page.url()}`);
  await look("sign-in");
  await page.locator('main a:has-text("Sign in with")').first().click();
  await chooseAtProvider(email);
  await page.waitForLoadState();
}

async function code(secret) {
  return ask({ ask: "code", secret });
}

async function submitWithCode(secret, button) {
  const field = page.locator(`form:has(button:has-text("${button}")) input[name="_code"]`).first();
  if (await field.count()) await field.fill(await code(secret));
  await page.locator(`button:has-text("${button}")`).first().click();
  await page.waitForLoadState();
}

// Apps and what belongs to them, the rack itself; lines that come live, a terminal, a scaled service, a promoted release.
async function lookAtTheRack(secret) {
  for (const [place, name] of [
    ["/app/apps", "apps"],
    ["/app/apps?q=nothing-is-called-so", "apps-none"],
    ["/app/apps/myapp", "app"],
    ["/app/apps/myapp/services", "services-of-app"],
    ["/app/apps/myapp/processes", "processes"],
    ["/app/apps/myapp/resources", "resources"],
    ["/app/apps/myapp/logs", "logs"],
    ["/app/apps/myapp/metrics", "metrics"],
    ["/app/apps/myapp/services/web/metrics", "metrics-of-service"],
    ["/app/rack/metrics?period=3600", "rack-metrics"],
    ["/app/apps/myapp/builds", "builds"],
    ["/app/apps/myapp/releases", "releases"],
    ["/app/rack", "rack"],
    ["/app/rack/processes", "rack-processes"],
    ["/app/rack/resources", "rack-resources"],
    ["/app/instances", "instances"],
    ["/app/certificates", "certificates"],
    ["/app/registries", "registries"],
  ]) {
    await visit(place, name);
  }
  await page.goto(new URL("/app/apps/myapp/builds", options.gateway).href);
  await page.locator("main tbody th a").first().click();
  await page.locator('h1:has-text("Build")').waitFor();
  if (javaScriptEnabled) await page.locator('[data-state]:has-text("ended")').waitFor();
  await look("build");

  if (javaScriptEnabled) {
    await page.goto(new URL("/app/apps/myapp/logs", options.gateway).href);
    await page.locator('[data-state]:has-text("live")').waitFor();
    await page.waitForFunction(() => document.querySelector(".feed-lines").textContent.trim() !== "");
    await page.locator("[data-pause]").click();
    await page.locator('[data-pause]:has-text("Go on")').waitFor();
    await page.locator("[data-pause]").click();
    await page.fill("[data-filter]", "no line has this");
    await page.waitForFunction(() => document.querySelector(".feed-lines").textContent === "");
    const saved = page.waitForEvent("download");
    await page.locator("[data-save]").click();
    check((await saved).suggestedFilename() === "lines.txt", "the lines can be saved");
  }

  if (javaScriptEnabled) {
    // Any page by its name, with the keyboard alone.
    await page.keyboard.press("Control+k");
    await page.locator("dialog.palette").waitFor();
    await look("palette");
    await page.keyboard.type("myapp proc");
    await page.locator('dialog.palette [aria-selected="true"]:has-text("myapp: Processes")').waitFor();
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/app\/apps\/myapp\/processes$/);
    await page.keyboard.press("Control+k");
    await page.locator("dialog.palette").waitFor();
    await page.keyboard.press("Escape");
    await page.locator("dialog.palette").waitFor({ state: "detached" });
  }

  // A service with one process more.
  await page.goto(new URL("/app/apps/myapp/services", options.gateway).href);
  await page.locator('summary:has-text("Scale")').first().click();
  const scale = page.locator('form[action^="/app/apps/myapp/services/"]:has(input[name="count"])').first();
  await scale.locator('input[name="count"]').fill("2");
  await scale.locator('input[name="_code"]').fill(await code(secret));
  await scale.locator('button:has-text("Scale")').click();
  await page.waitForURL(/[?&]done=service-scaled/);
  await look("service-scaled");

  // A process, and a terminal in it.
  await page.goto(new URL("/app/apps/myapp/processes", options.gateway).href);
  await page.locator("main tbody th a").first().click();
  await page.locator('h2:has-text("Terminal")').waitFor();
  await look("process");
  if (javaScriptEnabled) {
    await page.locator('[data-begin] button').click();
    await page.locator('[data-says]:has-text("Open.")').waitFor();
    await page.keyboard.type("echo typed-in-a-page");
    await page.keyboard.press("Enter");
    await page.locator('[data-screen]:has-text("typed-in-a-page")').waitFor();
    await look("terminal");
    await page.locator("[data-screen]").press("Control+Shift+Escape");
    await page.locator("[data-screen]").focus();
    await page.keyboard.type("exit 3");
    await page.keyboard.press("Enter");
    await page.locator('[data-says]:has-text("exit code 3")').waitFor();
  }

  // An older release runs again: its name is typed, since it is hard to undo.
  await page.goto(new URL("/app/apps/myapp/releases", options.gateway).href);
  await page.locator("main tbody th a").last().click();
  await page.locator('h1:has-text("Release")').waitFor();
  await look("release");
  const release = (await page.locator("h1 code").textContent()).trim();
  await page.locator('summary:has-text("Promote this release")').click();
  const promote = page.locator('form[action$="/promote"]');
  await promote.locator('input[name="confirm"]').fill(release);
  await promote.locator('input[name="_code"]').fill(await code(secret));
  await promote.locator('button:has-text("Promote it")').click();
  await page.waitForURL(/[?&]done=release-promoted/);
  check((await page.locator("main").innerText()).includes(release), "the release runs");
  await look("release-promoted");
}

async function run() {
  if (options.refused) {
    await signIn(options.refused);
    check(!(await sessionCookie()), "somebody whom nobody listed gets no session");
    check((await page.locator("main").innerText()).length > 0, "a refusal says why");
    await look("refused-person");
    await context.clearCookies();
  }
  await signIn(options.email);
  check(page.url().endsWith("/app/account"), `after signing in one is where one wanted to go, not at ${page.url()}`);
  const first = await sessionCookie();
  check(first && first.secure && first.httpOnly && first.sameSite === "Lax" && first.path === "/", "the cookie's attributes");
  if (options["only-sign-in"]) return;
  await look("account");
  await visit("/app", "home");
  await visit("/app/services", "services");
  await visit("/app/service-candidates", "service-candidates");
  await visit("/app/connect", "connect");

  // The first authenticator.
  await visit("/app/account/factors", "factors-none");
  await page.fill('form[action="/app/account/factors/enrol/totp"] input[name="name"]', "phone");
  await page.locator('button:has-text("Go on")').click();
  await page.waitForLoadState();
  await look("factor-enrol");
  check(await page.locator("img.qr").isVisible(), "the QR code is shown");
  const secret = (await page.locator("pre.secret code").textContent()).replace(/\s/g, "");
  await page.fill('input[name="code"]', "000000");
  await page.locator('button:has-text("Confirm")').first().click();
  await page.waitForLoadState();
  await look("factor-enrol-wrong");
  await page.fill('input[name="code"]', await code(secret));
  await page.locator('button:has-text("Confirm")').first().click();
  await page.waitForLoadState();
  check((await page.locator("ul.codes li").count()) === 10, "ten backup codes are shown");
  await look("backup-codes");
  await visit("/app/account/factors", "factors");

  // A critical action: without a code the page asks for one and keeps what was filled in.
  await visit("/app/tokens", "tokens-none");
  await page.fill('form[action="/app/tokens"] input[name="name"]', "ci");
  await page.locator('form[action="/app/tokens"] input[type="checkbox"][value="cicd"]').check();
  await page.locator('button:has-text("Make the token")').click();
  await page.waitForLoadState();
  // With scripts a dialog asks in place, else the next page does.
  const asking = javaScriptEnabled ? "dialog" : "main";
  await page.locator(`${asking} input[name="${javaScriptEnabled ? "code" : "_code"}"]`).waitFor();
  check(!(await page.content()).includes("rgw_"), "without a code no token is made");
  await look("step-up-in-place");
  const before = await sessionCookie();
  if (javaScriptEnabled) {
    await page.locator('dialog input[name="code"]').fill("000000");
    await page.locator('dialog button:has-text("Confirm")').click();
    await page.locator('dialog [role="alert"]').waitFor();
    await look("step-up-in-place-wrong");
  }
  await page.locator(`${asking} input[name="${javaScriptEnabled ? "code" : "_code"}"]`).fill(await code(secret));
  await page.locator(`${asking} button:has-text("Confirm")`).first().click();
  await page.locator("pre.secret code").waitFor();
  const token = (await page.locator("pre.secret code").textContent()).trim();
  check(token.startsWith("rgw_"), "the new token is shown");
  check((await sessionCookie()).value !== before.value, "a step-up changes the cookie");
  await look("token-secret");
  await visit("/app/tokens", "tokens");
  check(!(await page.content()).includes(token), "the token is shown once");

  // Another secret for it, which takes a factor for this very action.
  await page.locator('summary:has-text("Change")').first().click();
  await page.locator('form[action$="/rotate"] input[name="_code"]').first().fill(await code(secret));
  await page.locator('form[action$="/rotate"] button:has-text("Rotate")').first().click();
  await page.locator("pre.secret code").waitFor();
  const rotated = (await page.locator("pre.secret code").textContent()).trim();
  check(rotated.startsWith("rgw_") && rotated !== token, "another secret is shown");
  await look("token-rotated");

  // People.
  await visit("/app/users", "users");
  await page.fill('form[action="/app/users"] input[name="email"]', "new.person@example.com");
  await page.locator('form[action="/app/users"] input[type="checkbox"][value="viewer"], form[action="/app/users"] input[type="radio"][value="viewer"]').first().check();
  await page.locator('form[action="/app/users"] input[name="_code"]').fill(await code(secret));
  await page.locator('form[action="/app/users"] button:has-text("Invite")').click();
  await page.waitForURL(/[?&]done=/);
  await visit("/app/users?q=new.person", "users-search");
  await page.locator('a:has-text("new.person@example.com")').first().click();
  await page.waitForLoadState();
  await look("user");
  await visit(`${new URL(page.url()).pathname}/sessions`, "user-sessions");

  // A link for an auditor: its secret stands behind #, and opens one part of the log without an account.
  await visit("/app/audit/shares", "audit-shares-none");
  await page.locator('summary:has-text("Make a link")').click();
  await page.fill('form[action="/app/audit/shares"] input[name="label"]', "Auditor of the year");
  await page.fill('form[action="/app/audit/shares"] input[name="action"]', "gateway:user:*");
  await page.fill('form[action="/app/audit/shares"] input[name="_code"]', await code(secret));
  await page.locator('form[action="/app/audit/shares"] button:has-text("Make the link")').click();
  await page.locator('section[aria-label="The new link"] code').waitFor();
  const link = (await page.locator('section[aria-label="The new link"] code').textContent()).trim();
  await look("audit-shares");
  const [opens, shared] = link.split("#");
  check(opens.endsWith("/auth/shared") && shared.startsWith("rga_"), "the link has its secret behind #");
  if (javaScriptEnabled) {
    await page.goto(link);
    await page.locator('h1:has-text("A part of the audit log")').waitFor();
    await page.locator('p:has-text("For Auditor of the year")').waitFor();
    check(!page.url().includes(shared), "the secret left the address");
  } else {
    await visit("/auth/shared", "shared-open");
    await page.fill('input[name="secret"]', shared);
    await page.locator('button:has-text("Open")').click();
    await page.waitForLoadState();
  }
  await look("shared");
  check((await page.locator("main").innerText()).includes("gateway:user:"), "the link shows its part of the log");
  await page.locator('main td a[href^="/auth/shared/"]').first().click();
  await page.locator('h2:has-text("The proof")').waitFor();
  await look("shared-entry");
  check((await page.locator("main").innerText()).includes('"action":"gateway:user:'), "the entry is shown as it is recorded");

  // Codes for emergencies.
  await visit("/app/break-glass", "break-glass-none");
  await page.locator('summary:has-text("Make codes")').click();
  await page.fill('form[action="/app/break-glass"] input[name="_code"]', await code(secret));
  await page.locator('form[action="/app/break-glass"] button:has-text("Make codes")').click();
  await page.locator("ol.codes li").first().waitFor();
  check((await page.locator("ol.codes li").count()) === 5, "five codes are shown");
  await look("break-glass-codes");

  // A device without a browser is let in.
  const userCode = await ask({ ask: "device" });
  await visit("/device", "device-code");
  await page.fill('input[name="user_code"]', "BCDF-GHJK");
  await page.locator('button:has-text("Show the device")').click();
  await page.locator('[role="alert"]').waitFor();
  await look("device-unknown");
  await page.fill('input[name="user_code"]', userCode);
  await page.locator('button:has-text("Show the device")').click();
  await page.locator('button:has-text("Sign this device in")').waitFor();
  await look("device");
  await page.locator('button:has-text("Sign this device in")').click();
  await page.locator('.notice[role="status"]').waitFor();
  await look("device-let-in");
  // A deploy that waits for its approval.
  const approval = await ask({ ask: "approval" });
  for (const [place, name] of [
    ["/app/approvals", "approvals"],
    [`/app/approvals/${approval}`, "approval"],
    ["/app/apps/myapp/env", "environment"],
    ["/app/reveals", "reveals"],
    ["/app/recordings", "recordings"],
    ["/app/live", "live"],
    ["/app/roles", "roles"],
    ["/app/groups", "groups"],
    ["/app/grants", "grants"],
    ["/app/elevations", "elevations"],
    ["/app/access", "access"],
    ["/app/who-can", "who-can"],
    ["/app/who-can?action=convox:release:promote&app=myapp", "who-can-promote"],
    ["/app/policies", "policies"],
    ["/app/policies/observed", "policies-observed"],
    ["/app/trust-rules", "trust-rules"],
    ["/app/zone", "zone"],
    ["/app/rack-credential", "rack-credential"],
    ["/app/break-glass", "break-glass"],
    ["/app/settings", "settings"],
    ["/app/integrations", "integrations"],
    ["/app/jobs", "jobs"],
    ["/app/account/sessions", "sessions"],
    ["/app/account/trusted-devices", "trusted-devices"],
    ["/problems/step-up-required", "problem-kind"],
  ]) {
    await visit(place, name);
  }
  await lookAtTheRack(secret);
  const missing = await page.goto(new URL("/app/nothing-here", options.gateway).href);
  check(missing.status() === 404, "a page that is not there is 404");
  await look("not-found");
  const audit = await page.goto(new URL("/app/audit?mine=true", options.gateway).href);
  check(audit.status() === 200, `one's own events are shown, not ${audit.status()}`);
  await look("audit");

  // A command that was refused for want of a factor is confirmed here.
  const challenge = await ask({ ask: "challenge" });
  const token64 = encodeURIComponent(btoa(challenge.split("/").pop()));
  const listener = encodeURIComponent("http://localhost:49152");
  await visit(`/login/u2f?token=${token64}&callback_url=${listener}`, "step-up-console");
  await page.goto(challenge);
  await look("step-up");
  await page.fill('input[name="code"]', await code(secret));
  await page.locator('button:has-text("Confirm")').click();
  await page.waitForLoadState();
  await look("step-up-confirmed");
  check((await ask({ ask: "repeat" })) === "ok", "the confirmed command passes");

  // Signing out ends the session everywhere.
  const last = await sessionCookie();
  await page.locator('button:has-text("Sign out")').click();
  await page.waitForLoadState();
  await look("signed-out");
  check(!(await sessionCookie()), "the cookie is gone");
  await context.addCookies([last]);
  await page.goto(new URL("/app", options.gateway).href);
  check(page.url().includes("/auth/login"), "the old cookie opens nothing");
  await context.clearCookies();
  if (!options.auditor) return;

  // Somebody who reads the log, and asks of a request why it was decided so.
  await signIn(options.auditor);
  await visit("/app/audit?q=token", "audit-of-all");
  if (javaScriptEnabled) await lookAtTheLogAsAWitness();
  await visit("/app/audit?q=token", "audit-of-all");
  await page.locator('main td a[href^="/app/audit/"]').first().click();
  await page.waitForLoadState();
  await look("audit-event");
  await visit("/app/audit?view=story", "audit-stories");
  await page.goBack();
  await visit("/app/audit/charts?actor=first@example.com", "audit-charts");
  await page.goBack();
  await page.locator('main a[href^="/app/why/"]').first().click();
  await page.waitForLoadState();
  await look("why");
}

try {
  await run();
  check(complaints.length === 0, `the browser complains: ${complaints.join("; ")}`);
  say({ done: true, pages, paths: [...paths] });
} catch (error) {
  const where = `${page.url()}: ${(await page.locator("main").innerText().catch(() => "")).slice(0, 600)}`;
  process.stderr.write(`${error.stack}\nat ${where}\n`);
  process.exitCode = 1;
} finally {
  await browser.close();
  process.stdin.destroy();
}
