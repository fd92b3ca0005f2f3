// A web app as they stand behind gateways, without any code for sign-in: it believes the header that tells it who
// calls, redirects, sets a cookie, links, and keeps a WebSocket open. It knows nothing of the prefix it is offered
// under. It ends when its standard input does.
//
//   node dashboard.mjs
//
// First line on standard output: {"port": N}.

import { createHash } from "node:crypto";
import { createServer } from "node:http";

const page = (who, cookie) => `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Dashboard</title>
<h1>Dashboard</h1>
<p>You are <b id="who">${who}</b>; the cookie is <b id="cookie">${cookie}</b>.</p>
<p id="live">nothing yet</p>
<p><a id="more" href="more">More</a></p>
<script src="live.js"></script>
</html>`;

const script = `const at = new URL("live", location.href);
at.protocol = at.protocol === "https:" ? "wss:" : "ws:";
const socket = new WebSocket(at);
socket.onopen = () => socket.send("hello");
socket.onmessage = (message) => { document.getElementById("live").textContent = message.data; };`;

const escaped = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

const server = createServer((request, response) => {
  const url = new URL(request.url, "http://dashboard");
  const who = escaped(request.headers["x-gateway-email"] ?? "nobody");
  switch (url.pathname) {
    case "/":
      response.writeHead(302, { Location: "/home" }).end();
      break;
    case "/home":
      response
        .writeHead(200, { "Content-Type": "text/html; charset=utf-8", "Set-Cookie": "dashboard=1; Path=/; HttpOnly" })
        .end(page(who, escaped(request.headers.cookie ?? "none")));
      break;
    case "/more":
      // As many apps do: an absolute address, made of the host that they were asked by.
      response.writeHead(302, { Location: `http://${request.headers.host}/home?from=more` }).end();
      break;
    case "/events": {
      // Twenty events, a pause that is longer than any limit of time in the test, and twenty more.
      response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
      let next = 0;
      const tick = () => {
        if (response.destroyed || next === 40) return;
        response.write(`data: ${next}\n\n`);
        next += 1;
        setTimeout(tick, next === 20 ? 5000 : 20);
      };
      tick();
      break;
    }
    case "/debug":
      // What debug pages do: they show what they were sent.
      response.writeHead(200, { "Content-Type": "text/plain" }).end(JSON.stringify(request.headers));
      break;
    case "/openapi.json":
      response.writeHead(200, { "Content-Type": "application/json" }).end(
        JSON.stringify({
          openapi: "3.1.0",
          info: { title: "Dashboard API", version: "7" },
          paths: { "/home": { get: {} }, "/panels/{panelId}": { get: {}, delete: {} } },
        }),
      );
      break;
    case "/live.js":
      response.writeHead(200, { "Content-Type": "text/javascript" }).end(script);
      break;
    default:
      response.writeHead(404, { "Content-Type": "text/plain" }).end("not here\n");
  }
});

// One text frame each way is all that is needed (RFC 6455, sections 1.3 and 5.2).
server.on("upgrade", (request, socket) => {
  if (request.url !== "/live") return socket.destroy();
  const accept = createHash("sha1")
    .update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64");
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  socket.on("error", () => {});
  socket.on("data", (frame) => {
    if ((frame[0] & 0x0f) !== 1) return;
    const length = frame[1] & 0x7f;
    const text = Buffer.from(frame.subarray(6, 6 + length).map((byte, index) => byte ^ frame[2 + (index % 4)]));
    // What debug pages do, here too.
    const more = `${text}` === "debug" ? request.headers.authorization : request.headers["x-gateway-email"];
    const reply = Buffer.from(`${text} ${more ?? "nobody"}`);
    socket.write(Buffer.concat([Buffer.from([0x81, reply.length]), reply]));
  });
});

server.listen(0, "127.0.0.1", () => process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`));
process.stdin.on("end", () => process.exit(0)).resume();
