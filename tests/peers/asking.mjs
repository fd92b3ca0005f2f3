// What a browser cannot know it asks of the test that started it: a line of JSON each way.

import { createInterface } from "node:readline";

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

export async function ask(question) {
  say(question);
  const { value, done } = await answers.next();
  if (done) throw new Error(`nobody answers ${question.ask}`);
  return value;
}
