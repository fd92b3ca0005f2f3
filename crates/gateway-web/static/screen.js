// A terminal's screen as a grid of characters, for replays and for sessions that go on.
//
// What is written to it was made by the other side of a session. Here it moves characters in a grid and nothing else:
// every character becomes a text node, and a sequence that is not in the list below does nothing.

const LARGEST = 1000;

export class Screen {
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

  // The text before the cursor, the character at it, and the text behind it.
  around() {
    const line = (row) => Array.from(this.lines[row], (c) => c ?? " ").join("");
    const rows = this.lines.map((_, row) => line(row).trimEnd());
    const here = line(this.row).padEnd(this.column + 1);
    const characters = Array.from(here);
    const at = Math.min(this.column, characters.length - 1);
    const before = [...rows.slice(0, this.row), characters.slice(0, at).join("")].join("\n");
    const after = [characters.slice(at + 1).join("").trimEnd(), ...rows.slice(this.row + 1)].join("\n");
    return [before, characters[at], after];
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
