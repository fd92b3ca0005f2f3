// An SMTP server (npm smtp-server) that takes every mail and prints it, read by npm postal-mime, as one line of
// JSON on standard output. It ends when its standard input does, so that it never outlives the test that started it.
//
//   node smtp-sink.mjs [--user NAME --password PASSWORD] [--tls-key FILE --tls-cert FILE [--implicit]] [--reject ADDRESS]
//
// First line: {"port": N}. Then one line for each mail:
//   {"from", "to": [..], "user", "secure", "subject", "headers": {lower-case name: value}, "text", "html", "raw"}
// With a key and a certificate it offers STARTTLS, or speaks TLS from the first byte with --implicit; without, it
// offers none. --reject answers that recipient with 550.

import { parseArgs } from "node:util";
import { readFileSync } from "node:fs";
import PostalMime from "postal-mime";
import { SMTPServer } from "smtp-server";

const { values: options } = parseArgs({
  options: {
    user: { type: "string" },
    password: { type: "string" },
    "tls-key": { type: "string" },
    "tls-cert": { type: "string" },
    implicit: { type: "boolean", default: false },
    reject: { type: "string" },
  },
});

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const refusal = (code, text) => Object.assign(new Error(text), { responseCode: code });

const tls = options["tls-key"]
  ? { key: readFileSync(options["tls-key"]), cert: readFileSync(options["tls-cert"]) }
  : {};

const server = new SMTPServer({
  ...tls,
  secure: options.implicit,
  disabledCommands: [
    ...(options["tls-key"] ? [] : ["STARTTLS"]),
    ...(options.user ? [] : ["AUTH"]),
  ],
  authOptional: !options.user,
  allowInsecureAuth: !options["tls-key"],
  disableReverseLookup: true,
  size: 1 << 20,
  onAuth(auth, _session, done) {
    const right = auth.username === options.user && auth.password === options.password;
    return right ? done(null, { user: auth.username }) : done(refusal(535, "5.7.8 wrong user name or password"));
  },
  onRcptTo(address, _session, done) {
    return address.address === options.reject ? done(refusal(550, "5.1.1 no such person")) : done();
  },
  onData(stream, session, done) {
    const chunks = [];
    stream.on("data", (chunk) => chunks.push(chunk));
    stream.on("end", async () => {
      const raw = Buffer.concat(chunks);
      const mail = await PostalMime.parse(raw);
      say({
        from: session.envelope.mailFrom.address,
        to: session.envelope.rcptTo.map((recipient) => recipient.address),
        user: session.user ?? null,
        secure: session.secure,
        subject: mail.subject ?? "",
        headers: Object.fromEntries(mail.headers.map(({ key, value }) => [key, value])),
        text: mail.text ?? "",
        html: mail.html ?? "",
        raw: raw.toString("latin1"),
      });
      done(null, "taken");
    });
  },
});

server.on("error", (error) => process.stderr.write(`${error.message}\n`));
server.listen(0, "127.0.0.1", () => say({ port: server.server.address().port }));
process.stdin.on("end", () => process.exit(0)).resume();
