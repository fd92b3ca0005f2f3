// A terminal in a page: keys go to a process in the rack, and what it writes is drawn as text (screen.js).
// The gateway decides, records and masks; here is nothing but the keyboard and the screen.

import { Screen } from "./screen.js";

// How the rack says that what ran is over, with its exit code.
const MARKER = /F1E49A85-0AD7-4AEF-A618-C249C6E6568D:(\d+)\n?/;
// Where a second factor is given for what was just refused.
const CONFIRMATION = /https?:\/\/[^\s/]+(\/step-up\/[A-Za-z0-9-]+)/;

// A rack takes at most 1024 bytes in a message, and a character has at most four.
const MOST_AT_ONCE = 256;

const KEYS = {
  Enter: "\r", Backspace: "\x7f", Tab: "\t", Escape: "\x1b", ArrowUp: "\x1b[A", ArrowDown: "\x1b[B", ArrowRight: "\x1b[C",
  ArrowLeft: "\x1b[D", Home: "\x1b[H", End: "\x1b[F", Delete: "\x1b[3~", Insert: "\x1b[2~", PageUp: "\x1b[5~", PageDown: "\x1b[6~",
};

// What a key press means to a terminal; null for what is the browser's.
function bytesOf(event) {
  if (event.metaKey || event.isComposing) return null;
  if (event.ctrlKey && event.shiftKey) return null;
  if (event.ctrlKey && !event.altKey) {
    const letter = event.key.length === 1 ? event.key.toLowerCase() : "";
    if (letter >= "a" && letter <= "z") return String.fromCharCode(letter.charCodeAt(0) - 96);
    return { "[": "\x1b", "\\": "\x1c", "]": "\x1d", " ": "\x00" }[letter] ?? null;
  }
  if (event.shiftKey && event.key === "Tab") return "\x1b[Z";
  if (event.key in KEYS) return KEYS[event.key];
  if ([...event.key].length !== 1) return null;
  return event.altKey && !event.ctrlKey ? `\x1b${event.key}` : event.key;
}

// What shows that the socket is of this page's session, as the token of a form does.
// The command is beside it and not in the address, which whatever is in between writes down.
const protocols = (values) => {
  const asked = btoa(new URLSearchParams(values).toString()).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  return ["rack-gateway.page", document.querySelector('input[name="_csrf"]')?.value ?? "", asked];
};

class Terminal {
  constructor(place) {
    this.place = place;
    this.shown = place.querySelector("[data-screen]");
    this.says = place.querySelector("[data-says]");
    this.form = place.querySelector("[data-begin]");
    this.button = this.form.querySelector("button");
    this.button.disabled = false;
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.begin(); });
    this.shown.addEventListener("keydown", (event) => this.pressed(event));
    this.shown.addEventListener("paste", (event) => {
      event.preventDefault();
      this.send((event.clipboardData?.getData("text") ?? "").replaceAll(/\r?\n/g, "\r"));
    });
    window.addEventListener("beforeunload", (event) => { if (this.isOpen()) event.preventDefault(); });
  }

  isOpen() { return this.socket?.readyState === WebSocket.OPEN; }

  // How many characters fit.
  measure() {
    const probe = Object.assign(document.createElement("span"), { textContent: "0".repeat(10) });
    this.shown.textContent = "";
    this.shown.hidden = false;
    this.shown.append(probe);
    const width = probe.getBoundingClientRect().width / 10 || 8;
    probe.remove();
    const style = getComputedStyle(this.shown);
    const room = this.shown.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight);
    return { columns: Math.min(Math.max(Math.floor(room / width), 20), 250), rows: 24 };
  }

  begin() {
    if (this.socket && this.socket.readyState !== WebSocket.CLOSED) return;
    const { columns, rows } = this.measure();
    this.screen = new Screen(columns, rows);
    this.text = "";
    this.exitCode = null;
    const url = new URL(this.place.dataset.exec, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const values = { Command: this.form.elements.command.value.trim(), Tty: "true", Width: String(columns), Height: String(rows) };
    const decoder = new TextDecoder();
    const socket = new WebSocket(url, protocols(values));
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.button.disabled = true;
    this.say("Connecting …");
    socket.addEventListener("open", () => { this.say("Open. Ctrl+Shift+Escape leaves the terminal."); this.shown.focus(); });
    socket.addEventListener("message", (event) => {
      const text = typeof event.data === "string" ? event.data : decoder.decode(event.data, { stream: true });
      this.take(text);
      // An empty message that is not text is the end; nobody closes by themselves.
      if (typeof event.data !== "string" && event.data.byteLength === 0) socket.close();
    });
    socket.addEventListener("close", () => this.ended());
    this.draw();
  }

  take(text) {
    this.text = (this.text + text).slice(-4000);
    const over = MARKER.exec(this.text);
    if (over) this.exitCode = Number(over[1]);
    this.screen.write(text.replace(MARKER, ""));
    this.draw();
  }

  ended() {
    this.button.disabled = false;
    this.button.textContent = "Open again";
    const confirmation = CONFIRMATION.exec(this.text);
    if (this.exitCode === 1 && confirmation) {
      this.say("A second factor is needed. ");
      // Only the path counts: the page is this gateway's own.
      const link = Object.assign(document.createElement("a"), { href: confirmation[1], textContent: "Give it", className: "button small", target: "_blank", rel: "noopener" });
      this.says.append(link, " then open again.");
    } else if (this.exitCode === null) {
      this.say("The connection ended, and how the command ended is not known.");
    } else {
      this.say(`Ended with exit code ${this.exitCode}.`);
    }
    this.button.focus();
    this.draw();
  }

  say(text) { this.says.textContent = text; }

  // In small messages of text, as the rack takes them.
  send(text) {
    if (!this.isOpen()) return;
    const characters = Array.from(text);
    for (let at = 0; at < characters.length; at += MOST_AT_ONCE) this.socket.send(characters.slice(at, at + MOST_AT_ONCE).join(""));
  }

  pressed(event) {
    // The way out, for those who have only a keyboard (WCAG 2.1.2).
    if (event.ctrlKey && event.shiftKey && event.key === "Escape") { this.button.disabled ? this.shown.blur() : this.button.focus(); return; }
    if (!this.isOpen()) return;
    const bytes = bytesOf(event);
    if (bytes === null) return;
    event.preventDefault();
    this.send(bytes);
  }

  draw() {
    if (this.isDrawing) return;
    this.isDrawing = true;
    requestAnimationFrame(() => {
      this.isDrawing = false;
      const [before, at, after] = this.screen.around();
      const cursor = Object.assign(document.createElement("span"), { className: "cursor", textContent: at });
      this.shown.replaceChildren(before, ...(this.isOpen() ? [cursor] : [at]), after);
    });
  }
}

for (const place of document.querySelectorAll("[data-exec]")) new Terminal(place);
