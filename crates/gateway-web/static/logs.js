// Follows lines as they are written: a socket to the gateway, which asks the rack and masks secrets. Lines become text
// nodes; control characters in them are left out.

const MOST_LINES = 5000;
const CONTROLS = /\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|\u001b.|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
// How the rack says that what ran is over, with its exit code.
const MARKER = /F1E49A85-0AD7-4AEF-A618-C249C6E6568D:(\d+)\n?/;

// What shows that the socket is of this page's session, as the token of a form does.
const protocols = () => ["rack-gateway.page", document.querySelector('input[name="_csrf"]')?.value ?? ""];

class Feed {
  constructor(place) {
    this.place = place;
    this.lines = [];
    this.rest = "";
    this.isPaused = false;
    this.missed = 0;
    this.tries = 0;
    this.since = Date.now();
    const part = (name) => place.querySelector(`[data-${name}]`);
    this.state = part("state");
    this.filter = part("filter");
    this.follow = part("follow");
    this.pause = part("pause");
    this.shown = place.querySelector(".feed-lines");
    place.querySelector(".feed-bar").hidden = false;
    this.filter.addEventListener("input", () => this.draw());
    this.pause.addEventListener("click", () => this.setPaused(!this.isPaused));
    part("save").addEventListener("click", () => this.save());
    window.addEventListener("pagehide", () => { this.isLeaving = true; this.socket?.close(); });
    this.connect(place.dataset.feed);
  }

  connect(address) {
    const url = new URL(address, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url, protocols());
    const decoder = new TextDecoder();
    let isOpen = false;
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => { isOpen = true; this.tries = 0; this.say("live", "ok"); });
    socket.addEventListener("message", (event) => {
      const text = typeof event.data === "string" ? event.data : decoder.decode(event.data, { stream: true });
      this.take(text);
      // An empty message that is not text is the end; nobody closes by themselves.
      if (typeof event.data !== "string" && event.data.byteLength === 0) socket.close();
    });
    socket.addEventListener("close", () => this.closed(isOpen));
  }

  take(text) {
    const whole = (this.rest + text).replaceAll("\r\n", "\n");
    const lines = whole.split("\n");
    this.rest = lines.pop();
    for (const line of lines) this.add(line);
    this.draw();
  }

  add(line) {
    const over = MARKER.exec(line);
    if (over) this.exitCode = Number(over[1]);
    const plain = line.replace(MARKER, "").replace(CONTROLS, "");
    if (over && plain === "") return;
    this.lines.push(plain);
    if (this.lines.length > MOST_LINES) this.lines.splice(0, this.lines.length - MOST_LINES);
    if (this.isPaused) this.missed += 1;
  }

  closed(wasOpen) {
    if (this.isLeaving) return;
    if (this.rest !== "") { this.add(this.rest); this.rest = ""; }
    this.draw();
    if ("ends" in this.place.dataset || this.exitCode !== undefined) {
      const bad = this.exitCode !== undefined && this.exitCode !== 0;
      this.say(wasOpen ? (bad ? "ended with an error" : "ended") : "not to be had", bad || !wasOpen ? "bad" : "");
      return;
    }
    this.tries += 1;
    if (this.tries > 6) {
      this.say("away; load the page again", "bad");
      return;
    }
    const wait = Math.min(1000 * 2 ** (this.tries - 1), 15000);
    const cut = Date.now();
    this.say("connection lost, trying again", "warn");
    setTimeout(() => {
      const seconds = Math.ceil((Date.now() - cut) / 1000) + 1;
      this.add(`— the connection was lost; what follows begins ${seconds} s earlier —`);
      const again = new URL(this.place.dataset.feed, location.href);
      again.searchParams.delete("Tail");
      again.searchParams.set("Since", `${seconds}s`);
      this.connect(again.href);
    }, wait);
  }

  say(text, tone) {
    this.state.textContent = text;
    this.state.className = `badge ${tone}`.trim();
  }

  setPaused(isPaused) {
    this.isPaused = isPaused;
    this.missed = 0;
    this.pause.setAttribute("aria-pressed", String(isPaused));
    this.draw();
  }

  draw() {
    if (this.isPaused) {
      this.pause.textContent = this.missed > 0 ? `Go on (${this.missed} new)` : "Go on";
      return;
    }
    this.pause.textContent = "Pause";
    if (this.isDrawing) return;
    this.isDrawing = true;
    requestAnimationFrame(() => {
      this.isDrawing = false;
      const wanted = this.filter.value.toLowerCase();
      const lines = wanted === "" ? this.lines : this.lines.filter((line) => line.toLowerCase().includes(wanted));
      this.shown.textContent = lines.join("\n");
      if (this.follow.checked) this.shown.scrollTop = this.shown.scrollHeight;
    });
  }

  save() {
    const url = URL.createObjectURL(new Blob([`${this.lines.join("\n")}\n`], { type: "text/plain" }));
    const link = Object.assign(document.createElement("a"), { href: url, download: "lines.txt" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }
}

for (const place of document.querySelectorAll("[data-feed]")) new Feed(place);
