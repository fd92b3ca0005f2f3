// What a log's signed head and its proofs say, checked. Nothing here knows of pages, of storage or of the network.
//
// Sources: C2SP signed-note and tlog-checkpoint; RFC 9162, sections 2.1.1 and 2.1.4.2.

// What the log says does not hold; `message` says what.
export class Broken extends Error {}

const utf8 = new TextEncoder();

export function bytesOf(base64) {
  try {
    return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  } catch {
    throw new Broken("the log's words are not in base64");
  }
}

const same = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);

async function sha256(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
}

const nodeHash = (left, right) => sha256(Uint8Array.of(1), left, right);

// A verifier's key, NAME+ID+BASE64 of the algorithm and the key.
export async function readKey(text) {
  const parts = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/.exec(text);
  if (!parts) throw new Broken("a key of the log cannot be read");
  const [, name, id, encoded] = parts;
  const key = bytesOf(encoded);
  if (key.length !== 33 || key[0] !== 1) throw new Broken("a key of the log is not of Ed25519");
  const expected = (await sha256(utf8.encode(`${name}\n`), key)).slice(0, 4);
  if (!same(expected, Uint8Array.from(id.match(/../g), (hex) => parseInt(hex, 16)))) {
    throw new Broken("a key of the log does not have its id");
  }
  return { text, name, id: expected, raw: key.slice(1) };
}

// A signed head: { name, size, root, text, signatures }. Nothing of it is believed before `isSigned` says so.
export function readNote(note) {
  const end = note.indexOf("\n\n");
  const text = note.slice(0, end + 1);
  const [name, size, root] = text.split("\n");
  const isHead = end >= 0 && /^(0|[1-9][0-9]{0,15})$/.test(size ?? "") && Number.isSafeInteger(Number(size));
  const bytes = isHead ? bytesOf(root) : new Uint8Array();
  if (bytes.length !== 32) throw new Broken("the log's checkpoint cannot be read");
  const signatures = note.slice(end + 2).split("\n").filter((line) => line !== "").map((line) => {
    const parts = /^\u2014 (\S+) ([A-Za-z0-9+/]+=*)$/.exec(line);
    if (!parts) throw new Broken("the log's checkpoint has a line that is no signature");
    const signature = bytesOf(parts[2]);
    return { name: parts[1], id: signature.slice(0, 4), signature: signature.slice(4) };
  });
  return { name, size: Number(size), root: bytes, text, signatures };
}

// Whether this key signed it. A browser without Ed25519 throws NotSupportedError.
export async function isSigned(note, key) {
  if (note.name !== key.name) return false;
  const mine = note.signatures.filter((one) => one.name === key.name && same(one.id, key.id));
  if (mine.length === 0) return false;
  const imported = await crypto.subtle.importKey("raw", key.raw, { name: "Ed25519" }, false, ["verify"]);
  for (const { signature } of mine) {
    if (await crypto.subtle.verify({ name: "Ed25519" }, imported, signature, utf8.encode(note.text))) return true;
  }
  return false;
}

// The newest of the listed keys, once each was handed over by the one before, back to the trusted one.
export async function newestKey(listed, trusted) {
  const keys = await Promise.all(listed.map((one) => readKey(one.key)));
  for (let at = 1; at < keys.length; at += 1) {
    const handover = readNote(listed[at].handover ?? "");
    const isHandedOver = handover.size === listed[at].from && (await isSigned(handover, keys[at - 1])) && (await isSigned(handover, keys[at]));
    if (!isHandedOver) throw new Broken(`key ${at} of the log was not handed over by the one before it`);
  }
  if (keys.length === 0 || !keys.some((key) => key.text === trusted)) {
    throw new Broken("the log's keys do not go back to the one that this browser knows");
  }
  return keys.at(-1);
}

// Throws unless the log of `then` is the beginning of the log of `now`; both are { size, root }.
export async function checkConsistency(then, now, proof) {
  if (now.size < then.size) throw new Broken(`the log had ${then.size} entries and has ${now.size} now`);
  if (now.size === then.size || then.size === 0) {
    if (proof.length !== 0) throw new Broken("a proof has hashes that it must not have");
    if (then.size !== 0 && !same(then.root, now.root)) throw new Broken(`the ${now.size} entries of the log are not those that this browser saw`);
    return;
  }
  // Numbers and no bit operators: those cut at 32 bits.
  const half = (number) => Math.floor(number / 2);
  let [at, last] = [then.size - 1, now.size - 1];
  const path = [...proof];
  const isNode = Number.isInteger(Math.log2(then.size)) && 2 ** Math.log2(then.size) === then.size;
  if (isNode) path.unshift(then.root);
  if (path.length === 0) throw new Broken("a proof has too few hashes");
  while (at % 2 === 1) [at, last] = [half(at), half(last)];
  let [oldRoot, newRoot] = [path[0], path[0]];
  for (const sibling of path.slice(1)) {
    if (last === 0) throw new Broken("a proof has too many hashes");
    if (at % 2 === 1 || at === last) {
      [oldRoot, newRoot] = [await nodeHash(sibling, oldRoot), await nodeHash(sibling, newRoot)];
      while (at !== 0 && at % 2 === 0) [at, last] = [half(at), half(last)];
    } else {
      newRoot = await nodeHash(newRoot, sibling);
    }
    [at, last] = [half(at), half(last)];
  }
  if (last !== 0) throw new Broken("a proof has too few hashes");
  if (!same(oldRoot, then.root)) throw new Broken(`the log of now is not the one of ${then.size} entries that this browser saw`);
  if (!same(newRoot, now.root)) throw new Broken("the log's proof does not lead to its signed head");
}
