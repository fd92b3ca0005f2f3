// A person with passkeys (Chromium's virtual authenticator): enrols them, confirms in place, confirms a refused command,
// removes them, and goes on with a backup code when they are lost. Looks at each page in both themes and at phone width.
//
//   node passkeys.mjs --gateway URL --email ADDRESS --shots DIRECTORY
//
// Asks its parent as browser.mjs does: {"ask": "challenge"} and {"ask": "repeat"}. Last line: {"done": true, "pages": N}.

import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { ask, say } from "./asking.mjs";
import { check, lookAt } from "./looks.mjs";

const { values: options } = parseArgs({
  options: { gateway: { type: "string" }, email: { type: "string" }, shots: { type: "string" } },
});

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});
const context = await browser.newContext();
const page = await context.newPage();
page.setDefaultTimeout(30_000);
const complaints = [];
page.on("console", (message) => {
  const isStatus = message.text().startsWith("Failed to load resource: the server responded with a status of 4");
  if (message.type() === "error" && !isStatus && page.url().startsWith(options.gateway)) complaints.push(`${page.url()}: ${message.text()}`);
});
page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error}`));

const devtools = await context.newCDPSession(page);
await devtools.send("WebAuthn.enable");

async function plugIn(transport) {
  const { authenticatorId } = await devtools.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport,
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return authenticatorId;
}

const pullOut = (authenticatorId) => devtools.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId });

let pages = 0;
const paths = new Set();
async function look(name) {
  pages += 1;
  paths.add(new URL(page.url()).pathname);
  await lookAt(page, name, options.shots);
}

async function open(place) {
  const reply = await page.goto(new URL(place, options.gateway).href);
  check(reply.status() === 200, `${place} answers ${reply.status()}`);
}

async function signIn({ factor } = {}) {
  await page.goto(new URL("/app/account", options.gateway).href);
  await page.locator('main a:has-text("Sign in with")').first().click();
  await page.locator(`button[value="${options.email}"], button:has-text("${options.email}")`).first().click();
  if (factor) {
    // Between the provider's word and the session: the passkey is all that this person has.
    await page.locator('h1:has-text("Second factor")').waitFor();
    await look("passkey-sign-in");
    await page.locator('button:has-text("Use a passkey")').click();
  }
  await page.locator('h1:has-text("Account")').waitFor();
}

async function addPasskey(name) {
  await open("/app/account/factors");
  await page.fill('form[action="/app/account/factors/enrol/webauthn"] input[name="name"]', name);
  await page.locator('button:has-text("Add the passkey")').click();
}

const make = () => page.locator('button:has-text("Make the passkey")').click();
const remove = async (name) => {
  await open("/app/account/factors");
  const row = page.locator(`tr:has(td:has-text("${name}"))`);
  await row.locator('summary:has-text("Remove")').click();
  await row.locator('input[name="confirm"]').fill("remove");
  await row.locator('button:has-text("Remove it")').click();
};

async function run() {
  await signIn();
  const laptop = await plugIn("internal");

  // The first one, and the codes that come with it.
  await addPasskey("laptop");
  await page.locator('button:has-text("Make the passkey")').waitFor();
  await look("passkey-enrol");
  await make();
  await page.locator("ul.codes li").first().waitFor();
  const codes = await page.locator("ul.codes li").allInnerTexts();
  check(codes.length === 10, `ten backup codes are shown, not ${codes.length}`);
  await look("passkey-backup-codes");

  // A further one needs the first: a dialog asks for it, in place.
  await addPasskey("blue key");
  await page.locator("dialog.second-factor").waitFor();
  await look("passkey-dialog");
  await page.locator('dialog button:has-text("Use a passkey")').click();
  await page.locator('button:has-text("Make the passkey")').waitFor();
  await pullOut(laptop);
  const blue = await plugIn("usb");
  await make();
  await page.locator('td:has-text("blue key")').first().waitFor();
  await look("passkeys");

  // A critical action takes a factor of its own, window or not.
  await open("/app/tokens");
  await page.fill('form[action="/app/tokens"] input[name="name"]', "ci");
  await page.locator('form[action="/app/tokens"] input[type="checkbox"][value="cicd"]').check();
  await page.locator('button:has-text("Make the token")').click();
  await page.locator("dialog.second-factor").waitFor();
  check(!(await page.content()).includes("rgw_"), "without a factor no token is made");
  await page.locator('dialog button:has-text("Use a passkey")').click();
  await page.locator("pre.secret code").waitFor();
  check((await page.locator("pre.secret code").textContent()).trim().startsWith("rgw_"), "the token is shown");

  // A refused command: the page says what it is for.
  await page.goto(await ask({ ask: "challenge" }));
  const shown = await page.locator("main").innerText();
  for (const fact of ["Delete an app", "App::myapp", "DELETE /apps/myapp", "this very action, once"]) {
    check(shown.includes(fact), `the page says ${fact}, not only ${shown}`);
  }
  await look("passkey-step-up");
  await page.locator('button:has-text("Use a passkey")').click();
  await page.locator('[role="status"]:has-text("Confirmed for this action")').waitFor();
  await look("passkey-step-up-confirmed");
  check((await ask({ ask: "repeat" })) === "ok", "the confirmed command passes, once");

  // Whoever cannot show that it is them, cannot confirm.
  await devtools.send("WebAuthn.setUserVerified", { authenticatorId: blue, isUserVerified: false });
  await open("/step-up/window");
  await page.locator('button:has-text("Use a passkey")').click();
  await page.locator("[data-fault]").waitFor();
  await look("passkey-not-verified");
  await devtools.send("WebAuthn.setUserVerified", { authenticatorId: blue, isUserVerified: true });

  // A new session has no window; signing in is no step-up.
  await page.locator('button:has-text("Sign out")').click();
  await page.waitForLoadState();
  await signIn({ factor: true });
  await open("/step-up/window");
  await page.locator('button:has-text("Use a passkey")').click();
  await page.locator('[role="status"]').waitFor();

  // One goes, by the other.
  await remove("laptop");
  await page.locator("dialog.second-factor").waitFor();
  await page.locator('dialog button:has-text("Use a passkey")').click();
  await page.locator('.notice:has-text("removed")').waitFor();
  check((await page.locator('td:has-text("laptop")').count()) === 0, "the passkey is gone");

  // The key is lost: a backup code takes its place, once.
  await pullOut(blue);
  await remove("blue key");
  await page.locator("dialog.second-factor").waitFor();
  await page.locator('dialog input[name="code"]').fill(codes[0]);
  await page.locator('dialog button:has-text("Confirm")').click();
  await page.locator('.notice:has-text("removed")').waitFor();
  await page.locator("text=No second factor counts yet.").waitFor();
  await look("passkeys-none");
}

try {
  await run();
  check(complaints.length === 0, `the browser complains: ${complaints.join("; ")}`);
  say({ done: true, pages, paths: [...paths] });
} catch (error) {
  const where = `${page.url()}: ${(await page.locator("main").innerText().catch(() => "")).slice(0, 600)}`;
  process.stderr.write(`${error.stack}\nat ${where}\n${complaints.join("\n")}\n`);
  process.exitCode = 1;
} finally {
  await browser.close();
  process.stdin.destroy();
}
