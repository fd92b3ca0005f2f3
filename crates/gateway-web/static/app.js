// Progressive help only: every page works without this file.

const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];
const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

// In tables and lists of facts: "3 minutes ago" in place of the minute in UTC; the exact moment stays in the title.
function relative(moment, now) {
  const seconds = Math.round((moment - now) / 1000);
  for (const [unit, length] of UNITS) {
    // "In 3 months" is too coarse for the end of a token.
    const least = unit === "month" ? 4 * length : length;
    if (Math.abs(seconds) >= least) return words.format(Math.round(seconds / length), unit);
  }
  return seconds <= 0 ? "just now" : "in less than a minute";
}

// How far the gateway's clock is ahead of this one.
const ahead = Date.parse(document.documentElement.dataset.now) - Date.now() || 0;

function showTimes() {
  const now = Date.now() + ahead;
  for (const time of document.querySelectorAll("td time[datetime], dd time[datetime]")) {
    const moment = Date.parse(time.dateTime);
    if (!Number.isNaN(moment)) time.textContent = relative(moment, now);
  }
}

// A copy button beside everything marked with data-copy.
function addCopyButton(place) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button small copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    const text = [...place.querySelectorAll("code")].map((code) => code.textContent.trim()).join("\n");
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy by hand";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  place.append(button);
}

// Ctrl+K or ⌘K, and a button for those who do not know: any page by its name.
const openPalette = () => import("./palette.js").then((palette) => palette.open());

function addPaletteButton() {
  const place = document.querySelector(".who");
  if (!place || !document.querySelector(".side")) return;
  const key = /Mac|iP(hone|ad)/.test(navigator.platform) ? "⌘K" : "Ctrl K";
  const button = Object.assign(document.createElement("button"), { type: "button", className: "button quiet small go-to", textContent: `Go to … ${key}` });
  button.addEventListener("click", openPalette);
  place.prepend(button);
}

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k" && document.querySelector(".side") && !event.target.closest("[data-screen]")) {
    event.preventDefault();
    openPalette();
  }
});

function setUp() {
  addPaletteButton();
  // On a narrow screen the navigation is one line that scrolls.
  const side = document.querySelector(".side");
  const here = side?.querySelector("[aria-current]");
  if (here) side.scrollLeft = here.offsetLeft - side.clientWidth / 2 + here.clientWidth / 2;
  showTimes();
  if (navigator.clipboard) document.querySelectorAll("[data-copy]").forEach(addCopyButton);
}

// Who is signed in holds the audit log against what this browser saw of it.
if (document.querySelector(".who")) import("./witness.js");

// A page that came in place of another one is set up like one that was loaded.
document.addEventListener("page-shown", setUp);
setUp();
setInterval(showTimes, 30000);
