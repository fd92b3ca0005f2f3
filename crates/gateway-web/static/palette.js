// Goes to any page by its name: Ctrl+K or ⌘K. The ways are those of the navigation, which policy chose, and the apps that
// this person may see. Loaded when it is first asked for.

// The pages of an app, as its tabs are called.
const OF_APP = [["", ""], ["Services", "/services"], ["Processes", "/processes"], ["Logs", "/logs"], ["Releases", "/releases"], ["Builds", "/builds"], ["Environment", "/env"], ["Resources", "/resources"]];
const MOST_SHOWN = 12;

// Names of apps are asked for once a minute at most: each look is a request that is decided and recorded.
let apps = { at: 0, names: [] };

async function appNames() {
  if (!document.querySelector('.side a[href="/app/apps"]')) return [];
  if (Date.now() - apps.at < 60_000) return apps.names;
  const reply = await fetch("/app/apps", { headers: { Accept: "text/html" } });
  if (!reply.ok || reply.redirected) return [];
  const page = new DOMParser().parseFromString(await reply.text(), "text/html");
  apps = { at: Date.now(), names: [...page.querySelectorAll("main tbody th a")].map((link) => link.textContent.trim()) };
  return apps.names;
}

const ofNavigation = () => [...document.querySelectorAll(".side a")].map((link) => ({ label: link.textContent.trim(), href: link.getAttribute("href") }));
const ofApps = (names) => names.flatMap((name) => OF_APP.map(([tab, rest]) => ({ label: tab ? `${name}: ${tab}` : name, href: `/app/apps/${encodeURIComponent(name)}${rest}` })));

// What matches: every word of what was typed is in the label; what begins with it comes first.
export function matching(ways, typed) {
  const words = typed.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const rank = (label) => (words.length > 0 && label.startsWith(words[0]) ? 0 : 1);
  return ways
    .filter(({ label }) => words.every((word) => label.toLowerCase().includes(word)))
    .sort((a, b) => rank(a.label.toLowerCase()) - rank(b.label.toLowerCase()))
    .slice(0, MOST_SHOWN);
}

export function open() {
  if (document.querySelector("dialog[open]")) return;
  const dialog = Object.assign(document.createElement("dialog"), { className: "palette" });
  dialog.setAttribute("aria-label", "Go to a page");
  const field = Object.assign(document.createElement("input"), { type: "text", placeholder: "Go to a page or an app …", autocomplete: "off", spellcheck: false });
  const list = Object.assign(document.createElement("ul"), { id: "palette-ways" });
  for (const [name, value] of [["role", "combobox"], ["aria-label", "Page or app"], ["aria-expanded", "true"], ["aria-controls", list.id], ["aria-autocomplete", "list"]]) field.setAttribute(name, value);
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Pages");
  let ways = ofNavigation();
  let shown = [];
  let chosen = 0;

  const draw = () => {
    shown = matching(ways, field.value);
    chosen = Math.min(chosen, Math.max(shown.length - 1, 0));
    list.replaceChildren(...shown.map(({ label }, at) => {
      const item = Object.assign(document.createElement("li"), { id: `palette-way-${at}`, textContent: label });
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", String(at === chosen));
      item.addEventListener("click", () => go(at));
      return item;
    }));
    if (shown.length > 0) field.setAttribute("aria-activedescendant", `palette-way-${chosen}`);
    else field.removeAttribute("aria-activedescendant");
  };
  const go = (at) => { if (shown[at]) location.assign(shown[at].href); };

  field.addEventListener("input", () => { chosen = 0; draw(); });
  field.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && shown.length > 0) {
      event.preventDefault();
      chosen = (chosen + step + shown.length) % shown.length;
      draw();
    } else if (event.key === "Enter") {
      event.preventDefault();
      go(chosen);
    }
  });
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.append(field, list);
  document.body.append(dialog);
  draw();
  dialog.showModal();
  appNames().then((names) => { ways = [...ofNavigation(), ...ofApps(names)]; draw(); }).catch(() => {});
}
