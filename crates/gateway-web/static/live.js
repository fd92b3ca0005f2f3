// A page that keeps up with what it shows. Without this file it is as it was when it was loaded.

const mark = () => document.querySelector('meta[name="live"]')?.content;

// Whether replacing the page would take something from whoever is at work on it.
function isInUse() {
  if (document.querySelector("dialog[open], main details[open]")) return true;
  const fields = document.querySelectorAll("main input:not([type=hidden]), main textarea, main select");
  const isChanged = (field) => (field instanceof HTMLSelectElement ? field === document.activeElement : field.value !== field.defaultValue);
  return [...fields].some((field) => field === document.activeElement || isChanged(field));
}

// Says that there is something newer, once.
function offer() {
  if (document.querySelector("[data-newer]")) return;
  const again = Object.assign(document.createElement("a"), { href: location.href, textContent: "Look again" });
  const notice = Object.assign(document.createElement("p"), { className: "notice warn" });
  notice.dataset.newer = "";
  notice.setAttribute("role", "status");
  notice.append("This changed since the page was loaded. ", again);
  document.querySelector("main")?.prepend(notice);
}

function replaceWith(page) {
  const live = page.querySelector('meta[name="live"]');
  const link = document.activeElement?.closest("a[href]")?.getAttribute("href");
  const { scrollX, scrollY } = window;
  document.title = page.title;
  if (live) document.querySelector('meta[name="live"]').content = live.content;
  document.body.replaceWith(document.adoptNode(page.body));
  document.dispatchEvent(new Event("page-shown"));
  if (link) [...document.querySelectorAll("a[href]")].find((one) => one.getAttribute("href") === link)?.focus();
  window.scrollTo(scrollX, scrollY);
}

async function keepUp(now) {
  if (now === mark()) return;
  if (isInUse()) {
    offer();
    return;
  }
  const reply = await fetch(location.href, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await reply.text(), "text/html");
  if (!reply.ok || reply.redirected || !page.querySelector('meta[name="live"]')) {
    offer();
  } else if (isInUse()) {
    offer();
  } else {
    replaceWith(page);
  }
}

if (mark()) {
  const events = new EventSource(location.href);
  events.addEventListener("changed", (event) => keepUp(event.data).catch(offer));
  // What the server ends for good (signed out, rights gone) the browser does not ask for again; the page says so.
  events.addEventListener("error", () => { if (events.readyState === EventSource.CLOSED) offer(); });
  window.addEventListener("pagehide", () => events.close());
}

// What is in the rack tells nothing by itself: such a page is asked for again every few seconds, as long as somebody looks.
const seconds = Number(document.querySelector('meta[name="again"]')?.content ?? 0);

async function lookAgain(before) {
  if (document.hidden || isInUse()) return before;
  const reply = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!reply.ok || reply.redirected) throw new Error(`${reply.status}`);
  const page = new DOMParser().parseFromString(await reply.text(), "text/html");
  const now = page.querySelector("main").innerHTML;
  // What was loaded first cannot be compared any more: scripts made something else of it.
  if (now === before) return now;
  if (isInUse()) return before;
  replaceWith(page);
  return now;
}

if (seconds > 0) {
  let before = null;
  const state = () => document.querySelector("[data-again]");
  const show = (text, tone) => { const place = state(); if (place) { place.hidden = false; place.textContent = text; place.className = `badge ${tone}`; } };
  show("live", "ok");
  const next = () => setTimeout(async () => {
    try {
      before = await lookAgain(before);
      show("live", "ok");
      next();
    } catch {
      show("not live: load the page again", "warn");
    }
  }, seconds * 1000);
  next();
}
