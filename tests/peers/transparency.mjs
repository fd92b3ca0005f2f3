// Holds a gateway's log against what browsers are given to check it with (static/transparency.js), and shows that they are not
// fooled.
//
//   node transparency.mjs MODULE GATEWAY_URL TOKEN
//
// Roots of older trees are computed here, from the log's own hashes. Writes one line of JSON: {"proofs", "refused"}.

import { createHash, webcrypto } from "node:crypto";
import { readFile } from "node:fs/promises";

const [module, gateway, token] = process.argv.slice(2);
globalThis.crypto ??= webcrypto;
// As a browser takes it: a module, whatever its name.
const source = await readFile(module, "base64");
const { Broken, checkConsistency, isSigned, newestKey, readKey, readNote } = await import(`data:text/javascript;base64,${source}`);

async function ask(path) {
  const reply = await fetch(`${gateway}${path}`, { headers: { Authorization: `Bearer ${token}` } });
  if (!reply.ok) throw new Error(`${path}: ${reply.status} ${await reply.text()}`);
  return reply;
}

function check(holds, what) {
  if (!holds) throw new Error(what);
}

let refused = 0;
async function isRefused(what, act) {
  try {
    await act();
  } catch (error) {
    check(error instanceof Broken, `${what}: ${error.stack}`);
    refused += 1;
    return;
  }
  throw new Error(`${what} was believed`);
}

// RFC 9162, section 2.1.1, written down as it stands there.
function root(leaves) {
  if (leaves.length === 1) return leaves[0];
  let left = 1;
  while (left * 2 < leaves.length) left *= 2;
  return createHash("sha256").update(Uint8Array.of(1)).update(root(leaves.slice(0, left))).update(root(leaves.slice(left))).digest();
}

const text = await (await ask("/log/checkpoint")).text();
const note = readNote(text);
const { keys } = await (await ask("/log/keys")).json();
const newest = await newestKey(keys, keys[0].key);
check(newest.text === keys.at(-1).key && (await isSigned(note, newest)), "the checkpoint is not signed by the newest key");

// Signatures and keys that are not what they say.
check(!(await isSigned(readNote(text.replace(`\n${note.size}\n`, `\n${note.size + 1}\n`)), newest)), "another size was believed");
const stranger = await readKey(keys[0].key);
check(keys.length < 2 || !(await isSigned(note, stranger)), "the old key signs no more");
await isRefused("a stranger's key", () => newestKey(keys, `${keys[0].key.split("+")[0]}+00000000+AAAA`));
await isRefused("a key without a handover", () => newestKey(keys.map((key) => ({ ...key, handover: undefined })), keys[0].key));
await isRefused("a key with another id", () => readKey(keys[0].key.replace(/\+[0-9a-f]{8}\+/, "+00000000+")));
for (const garbled of ["", "x", "x\n1\n", "x\n-1\nAAAA\n\n", "x\n1e3\nAAAA\n\n", `${note.name}\n${note.size}\n%\n\n`, `${note.text}\nno signature\n`]) {
  await isRefused(`the note ${JSON.stringify(garbled)}`, () => readNote(garbled));
}

// Every tree of the first ones, and those about powers of two, against the newest; and some pairs between.
const leaves = [];
for (let tile = 0; tile * 256 < note.size; tile += 1) {
  const width = Math.min(256, note.size - tile * 256);
  const place = `/log/tile/0/${String(tile).padStart(3, "0")}${width < 256 ? `.p/${width}` : ""}`;
  const bytes = new Uint8Array(await (await ask(place)).arrayBuffer());
  for (let at = 0; at < bytes.length; at += 32) leaves.push(bytes.slice(at, at + 32));
}
const head = (size) => ({ size, root: new Uint8Array(root(leaves.slice(0, size))) });
check(Buffer.compare(Buffer.from(head(note.size).root), Buffer.from(note.root)) === 0, "the root is not that of the hashes");
const sizes = [...new Set([1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 255, 256, 257, 511, 512, 513, note.size - 1, note.size])].filter((size) => size <= note.size);
let proofs = 0;
for (const old of sizes) {
  for (const size of sizes.filter((one) => one > old)) {
    const { path } = await (await ask(`/log/proof/consistency?old=${old}&size=${size}`)).json();
    const proof = path.map((hex) => new Uint8Array(Buffer.from(hex, "hex")));
    const [then, now] = [head(old), head(size)];
    await checkConsistency(then, now, proof);
    proofs += 1;
    const turned = (bytes) => bytes.map((byte, at) => (at === 7 ? byte ^ 1 : byte));
    await isRefused("another old root", () => checkConsistency({ size: old, root: turned(then.root) }, now, proof));
    await isRefused("another new root", () => checkConsistency(then, { size, root: turned(now.root) }, proof));
    await isRefused("a hash too few", () => checkConsistency(then, now, proof.slice(0, -1)));
    await isRefused("a hash too many", () => checkConsistency(then, now, [...proof, now.root]));
    await isRefused("another hash", () => checkConsistency(then, now, proof.map((hash, at) => (at === 0 ? turned(hash) : hash))));
    await isRefused("a log that became shorter", () => checkConsistency(now, then, proof));
  }
}
await checkConsistency(head(5), head(5), []);
await checkConsistency({ size: 0, root: head(1).root }, head(5), []);
await isRefused("others of the same number", () => checkConsistency(head(5), { size: 5, root: head(4).root }, []));
process.stdout.write(`${JSON.stringify({ proofs, refused })}\n`);
