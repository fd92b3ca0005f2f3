// Replays a session, or shows one that goes on. The pages show their text without this file.
//
// What is replayed was made by the other side of the session. Here it moves characters in a grid and nothing else:
// every character becomes a text node, and a sequence that is not in the list below does nothing.

const LARGEST = 1000;

class Screen {
  constructor(columns, rows) {
    this.columns = Math.min(Math.max(columns, 1), LARGEST);
    this.rows = Math.min(Math.max(rows, 1), LARGEST);
    this.clear();
  }

  clear() {
    this.lines = Array.from({ length: this.rows }, () => []);
    this.row = 0;
    this.column = 0;
    this.kept = [0, 0];
    this.sequence = null;
  }

  text() {
    return this.lines.map((line) => Array.from(line, (c) => c ?? " ").join("").trimEnd()).join("\n");
  }

  write(text) {
    for (const character of text) this.take(character);
  }

  take(character) {
    if (this.sequence !== null) {
      this.sequence += character;
      const isCsi = this.sequence.startsWith("[");
      const isOver = isCsi ? this.sequence.length > 1 && character >= "@" && character <= "~" : !"()".includes(this.sequence[0]) || this.sequence.length > 1;
      if (!isOver && this.sequence.length < 64) return;
      const sequence = this.sequence;
      this.sequence = null;
      if (isCsi) this.control(sequence.slice(1, -1), character);
      else this.escape(sequence);
      return;
    }
    switch (character) {
      case "\u001b": this.sequence = ""; break;
      case "\n": this.feed(); break;
      case "\r": this.column = 0; break;
      case "\b": this.column = Math.max(0, this.column - 1); break;
      case "\t": this.column = Math.min(this.columns - 1, (Math.floor(this.column / 8) + 1) * 8); break;
      default: if (character >= " ") this.put(character);
    }
  }

  put(character) {
    if (this.column >= this.columns) {
      this.column = 0;
      this.feed();
    }
    this.lines[this.row][this.column] = character;
    this.column += 1;
  }

  feed() {
    if (this.row + 1 < this.rows) {
      this.row += 1;
    } else {
      this.lines.shift();
      this.lines.push([]);
    }
  }

  move(row, column) {
    this.row = Math.min(Math.max(row, 0), this.rows - 1);
    this.column = Math.min(Math.max(column, 0), this.columns - 1);
  }

  escape(sequence) {
    switch (sequence) {
      case "7": this.kept = [this.row, this.column]; break;
      case "8": this.move(...this.kept); break;
      case "D": this.feed(); break;
      case "E": this.column = 0; this.feed(); break;
      case "M": if (this.row > 0) this.row -= 1; else { this.lines.pop(); this.lines.unshift([]); } break;
    }
  }

  control(parameters, last) {
    if (parameters.startsWith("?")) {
      // Another screen, and back: both begin empty here.
      if (/^\?(47|1047|1049)$/.test(parameters)) this.clear();
      return;
    }
    const numbers = parameters.split(/[;:]/).map((number) => Number.parseInt(number, 10) || 0);
    const count = Math.min(Math.max(numbers[0], 1), LARGEST);
    const line = this.lines[this.row];
    switch (last) {
      case "A": this.move(this.row - count, this.column); break;
      case "B": case "e": this.move(this.row + count, this.column); break;
      case "C": case "a": this.move(this.row, this.column + count); break;
      case "D": this.move(this.row, this.column - count); break;
      case "E": this.move(this.row + count, 0); break;
      case "F": this.move(this.row - count, 0); break;
      case "G": case "`": this.move(this.row, count - 1); break;
      case "d": this.move(count - 1, this.column); break;
      case "H": case "f": this.move(count - 1, Math.max(numbers[1] ?? 1, 1) - 1); break;
      case "J": this.eraseScreen(numbers[0]); break;
      case "K": this.eraseLine(numbers[0]); break;
      case "L": for (let n = 0; n < Math.min(count, this.rows); n += 1) { this.lines.splice(this.row, 0, []); this.lines.pop(); } break;
      case "M": for (let n = 0; n < Math.min(count, this.rows); n += 1) { this.lines.splice(this.row, 1); this.lines.push([]); } break;
      case "P": line.splice(this.column, count); break;
      case "@": while (line.length < this.column) line.push(" "); line.splice(this.column, 0, ...Array(count).fill(" ")); line.length = Math.min(line.length, this.columns); break;
      case "X": for (let n = 0; n < count && this.column + n < this.columns; n += 1) line[this.column + n] = " "; break;
      case "S": for (let n = 0; n < Math.min(count, this.rows); n += 1) { this.lines.shift(); this.lines.push([]); } break;
      case "T": for (let n = 0; n < Math.min(count, this.rows); n += 1) { this.lines.pop(); this.lines.unshift([]); } break;
      case "s": this.kept = [this.row, this.column]; break;
      case "u": this.move(...this.kept); break;
    }
  }

  eraseLine(how) {
    const line = this.lines[this.row];
    if (how === 0) line.length = Math.min(line.length, this.column);
    else if (how === 1) for (let n = 0; n <= this.column; n += 1) line[n] = " ";
    else if (how === 2) line.length = 0;
  }

  eraseScreen(how) {
    if (how === 0) {
      this.eraseLine(0);
      for (let row = this.row + 1; row < this.rows; row += 1) this.lines[row] = [];
    } else if (how === 1) {
      this.eraseLine(1);
      for (let row = 0; row < this.row; row += 1) this.lines[row] = [];
    } else {
      this.lines = Array.from({ length: this.rows }, () => []);
    }
  }
}

function replay(place) {
  const events = JSON.parse(place.querySelector("[data-output]").textContent);
  const shown = place.querySelector("[data-screen]");
  const play = place.querySelector("[data-play]");
  const position = place.querySelector("[data-position]");
  const speed = place.querySelector("[data-speed]");
  const screen = new Screen(Number(place.dataset.columns), Number(place.dataset.rows));
  let next = 0;
  let timer = null;

  const draw = () => { shown.textContent = screen.text(); position.value = String(next); };
  const stop = () => { clearTimeout(timer); timer = null; play.textContent = "Play"; };
  const step = () => {
    if (next >= events.length) { stop(); return; }
    screen.write(events[next][1]);
    next += 1;
    draw();
    if (next >= events.length) { stop(); return; }
    const pause = Math.min(Math.max(events[next][0] - events[next - 1][0], 0), 2000) / Number(speed.value);
    timer = setTimeout(step, pause);
  };

  position.max = String(events.length);
  position.addEventListener("input", () => {
    stop();
    screen.clear();
    for (next = 0; next < Number(position.value); next += 1) screen.write(events[next][1]);
    draw();
  });
  play.addEventListener("click", () => {
    if (timer !== null) { stop(); return; }
    if (next >= events.length) { next = 0; screen.clear(); }
    play.textContent = "Pause";
    step();
  });
  place.hidden = events.length === 0;
  draw();
}

// Shows a session that goes on. When the stream breaks the browser asks again, and everything comes once more; when it
// may no longer be watched the browser is refused and stops.
function watch(place) {
  const shown = place.querySelector("[data-screen]");
  const state = place.querySelector("[data-state]");
  const screen = new Screen(Number(place.dataset.columns), Number(place.dataset.rows));
  const source = new EventSource(place.dataset.live);
  let drawing = false;
  const draw = () => {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => { drawing = false; shown.textContent = screen.text(); });
  };
  source.addEventListener("open", () => { screen.clear(); draw(); state.textContent = "You are watching."; });
  source.addEventListener("shown", (event) => { screen.write(JSON.parse(event.data)[0]); draw(); });
  source.addEventListener("over", (event) => { source.close(); state.textContent = `It is over: ${JSON.parse(event.data)}`; });
  source.addEventListener("error", () => {
    const isOver = source.readyState === EventSource.CLOSED;
    state.textContent = isOver ? "You are no longer watching. Load the page to see why." : "The connection broke; trying again.";
  });
  place.hidden = false;
}

for (const place of document.querySelectorAll("[data-replay]")) replay(place);
for (const place of document.querySelectorAll("[data-live]")) watch(place);
