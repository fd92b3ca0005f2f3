// Looks at a page as people see it: in both themes, wide and narrow; nothing sticks out sideways; axe has nothing to say.

import { readFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const looks = [
  ["light", "light", { width: 1280, height: 900 }],
  ["dark", "dark", { width: 1280, height: 900 }],
  ["phone", "light", { width: 360, height: 740 }],
  ["phone-dark", "dark", { width: 320, height: 640 }],
];

export function check(holds, what) {
  if (!holds) throw new Error(what);
}

// `shots` is the directory for screenshots; without it (a browser that runs no scripts) only the bones are looked at.
export async function lookAt(page, name, shots) {
  check((await page.locator("h1").count()) === 1, `${name}: a page has one h1`);
  check((await page.title()).trim() !== "", `${name}: a page has a title`);
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  for (const [label, colorScheme, size] of looks) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.setViewportSize(size);
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    check(beyond <= 0, `${name} (${label}): ${beyond} px stick out sideways`);
    await page.screenshot({ path: path.join(shots, `${name}-${label}.png`), fullPage: true });
    await page.evaluate(axeSource);
    const found = await page.evaluate(() =>
      window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }),
    );
    const told = found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).slice(0, 3).join(" | ")}`);
    check(told.length === 0, `${name} (${label}): axe says ${told.join("; ")}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1280, height: 900 });
}
