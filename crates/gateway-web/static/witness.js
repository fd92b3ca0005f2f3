// This browser as a witness: it remembers the head of the audit log that it saw last, and what comes next must hold it. The command
// line does the same (docs/audit.md). A log that became shorter, or another, is an alarm that stays until somebody takes it.

import { Broken, bytesOf, checkConsistency, isSigned, newestKey, readKey, readNote } from "./transparency.js";

const STORED = "rack-gateway.log";
const APART = 5 * 60 * 1000;

const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
const ofHex = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const isLoopback = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname) || location.hostname.endsWith(".localhost");

// What is remembered: { key, name, size, root, note, seen, before, alarm, isUnsigned }; `before` is what the last look held against.
function remembered() {
  try {
    return JSON.parse(localStorage.getItem(STORED)) ?? null;
  } catch {
    return null;
  }
}

const remember = (state) => localStorage.setItem(STORED, JSON.stringify(state));

class Unasked extends Error {}

async function ask(path) {
  const reply = await fetch(path, { headers: { Accept: "application/json, text/plain" }, redirect: "error" }).catch(() => null);
  // Also 404 says nothing of the log: while versions are exchanged, an instance may answer that has none of these pages.
  if (!reply?.ok) throw new Unasked("the gateway did not answer");
  return reply;
}

// The key that signed the note, and whether this browser could find that out.
async function signer(note, text, known) {
  try {
    if (known && (await isSigned(note, await readKey(known)))) return { key: known, isUnsigned: false };
    const { keys } = await (await ask("/app/log/keys")).json();
    const newest = await newestKey(keys, known ?? keys.at(-1)?.key);
    if (!(await isSigned(note, newest))) throw new Broken("the log's checkpoint is not signed by its key");
    return { key: newest.text, isUnsigned: false };
  } catch (error) {
    // Older browsers have no Ed25519: then what is held is the tree alone.
    if (error?.name === "NotSupportedError") return { key: known, isUnsigned: true };
    throw error;
  }
}

async function proofOf(old, size) {
  const { path } = await (await ask(`/app/log/proof/consistency?old=${old}&size=${size}`)).json();
  if (!Array.isArray(path)) throw new Broken("the gateway has no proof that the log is the one that this browser saw");
  return path.map(ofHex);
}

async function look(before) {
  const text = await (await ask("/app/log/checkpoint")).text();
  const note = readNote(text);
  const isAnother = before !== null && before.name !== note.name;
  // Ports of one's own machine are given to other programs, and to gateways that are tried out.
  const then = isAnother && isLoopback ? null : before;
  const now = { name: note.name, size: note.size, root: base64(note.root), note: text, seen: Date.now(), before: then && { size: then.size, seen: then.seen } };
  try {
    if (isAnother && then) throw new Broken(`this is the log of ${note.name}, and this browser knew ${before.name} here`);
    Object.assign(now, await signer(note, text, then?.key));
    if (then) {
      const wantsProof = then.size > 0 && then.size < note.size;
      const proof = wantsProof ? await proofOf(then.size, note.size) : [];
      await checkConsistency({ size: then.size, root: bytesOf(then.root) }, note, proof);
    }
    return now;
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    // What was seen before stays: it is the evidence.
    return { ...(then ?? now), alarm: { said: error.message, note: text, at: Date.now() } };
  }
}

function badge(state, text, tone) {
  for (const place of document.querySelectorAll("[data-log-badge]")) {
    place.hidden = false;
    place.className = `badge ${tone}`;
    place.textContent = text;
    place.dataset.logBadge = state;
  }
}

const when = (moment) => new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" }).format(moment);
const count = (number) => new Intl.NumberFormat("en").format(number);

function show(state) {
  if (state?.alarm) {
    badge("alarm", "Log does not hold", "bad");
    showAlarm(state);
  } else if (state) {
    const held = state.before ? `the ${count(state.before.size)} of ${when(state.before.seen)} are unchanged` : "seen here for the first time";
    const unsigned = state.isUnsigned ? "; this browser cannot check its signature" : "";
    badge("held", `Log verified here: ${count(state.size)} entries, ${held}${unsigned}`, state.isUnsigned ? "warn" : "ok");
  }
}

function button(text, act, style = "") {
  const made = Object.assign(document.createElement("button"), { type: "button", className: `button ${style}`.trim(), textContent: text });
  made.addEventListener("click", act);
  return made;
}

function keepEvidence(state) {
  const file = new Blob([`${JSON.stringify({ gateway: location.origin, ...state }, null, 2)}\n`], { type: "application/json" });
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: "audit-log-alarm.json" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function showAlarm(state) {
  if (document.querySelector("[data-log-alarm]")) return;
  const notice = document.createElement("section");
  notice.className = "notice bad";
  notice.dataset.logAlarm = "";
  notice.setAttribute("role", "alert");
  const title = Object.assign(document.createElement("strong"), { textContent: "ALARM: the audit log does not hold what this browser saw of it." });
  const said = Object.assign(document.createElement("p"), { textContent: `${state.alarm.said} (${when(state.alarm.at)}). It was rolled back, rewritten or exchanged, or this is not the gateway that was here. Nothing can be sent from these pages until that is taken.` });
  const next = Object.assign(document.createElement("p"), { textContent: "Keep the evidence and give it to whoever looks after the log; they compare it with the anchors (rack-gateway audit verify --anchors). Trust the log as it is now only when they say so." });
  const buttons = Object.assign(document.createElement("p"), { className: "buttons" });
  buttons.append(
    button("Keep the evidence", () => keepEvidence(state), "primary"),
    button("Trust it as it is now", () => {
      if (!confirm("What this browser remembers of the log is forgotten, and the log is trusted as it is now. Go on?")) return;
      localStorage.removeItem(STORED);
      location.reload();
    }),
  );
  notice.append(title, said, next, buttons);
  document.querySelector("main")?.prepend(notice);
  for (const one of document.querySelectorAll("form button")) {
    if (!sends(one.closest("form"))) continue;
    one.setAttribute("aria-disabled", "true");
    one.title = "The audit log does not hold: see above.";
  }
}

const isSignOut = (form) => form?.getAttribute("action") === "/auth/logout";

// By attributes: a field may be called as a property is.
const sends = (form) => form?.getAttribute("method")?.toLowerCase() === "post" && !isSignOut(form);

function hold(event, form) {
  if (!sends(form) || !remembered()?.alarm) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  document.querySelector("[data-log-alarm] button")?.focus();
}

document.addEventListener("submit", (event) => hold(event, event.target), { capture: true });
// A button that uses a passkey sends without an event of the form.
document.addEventListener("click", (event) => hold(event, event.target.closest?.("button")?.closest("form")), { capture: true });

async function witness() {
  const state = remembered();
  const isDue = !state || Date.now() - state.seen > APART || document.querySelector("[data-log-badge]");
  if (state?.alarm || !isDue) {
    show(state);
    return;
  }
  try {
    // One tab after the other: what one saw the next must hold.
    await navigator.locks.request(STORED, async () => {
      const before = remembered();
      const now = before?.alarm ? before : await look(before);
      remember(now);
      show(now);
    });
  } catch (error) {
    badge("unasked", `Log not checked here: ${error instanceof Unasked ? error.message : "this browser cannot"}`, "warn");
  }
}

if (globalThis.crypto?.subtle && navigator.locks) {
  document.addEventListener("page-shown", () => show(remembered()));
  witness();
} else {
  badge("unable", "Log not checked here: that needs https and a browser of today", "warn");
}
