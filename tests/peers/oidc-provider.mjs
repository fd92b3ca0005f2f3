// A certified OpenID provider (npm oidc-provider) with its own development pages: whoever signs in names an address, and
// that is who it is. It ends when its standard input does, so that it never outlives the test that started it.
//
//   node oidc-provider.mjs --client-id ID --client-secret SECRET --redirect-uri URL
//                          [--backchannel-logout-uri URL] [--post-logout-redirect-uri URL]
//
// First line on standard output: {"issuer": "http://127.0.0.1:PORT"}.

import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { Provider } from "oidc-provider";

const { values: options } = parseArgs({
  options: {
    "client-id": { type: "string" },
    "client-secret": { type: "string" },
    "redirect-uri": { type: "string" },
    "backchannel-logout-uri": { type: "string" },
    "post-logout-redirect-uri": { type: "string" },
  },
});

// Where the client is told that a session ended, and where browsers go back to.
const logout = {};
if (options["backchannel-logout-uri"]) {
  logout.backchannel_logout_uri = options["backchannel-logout-uri"];
  logout.backchannel_logout_session_required = true;
}
if (options["post-logout-redirect-uri"]) logout.post_logout_redirect_uris = [options["post-logout-redirect-uri"]];

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: options["client-id"],
        client_secret: options["client-secret"],
        redirect_uris: [options["redirect-uri"]],
        grant_types: ["authorization_code"],
        response_types: ["code"],
        ...logout,
      },
    ],
    features: { backchannelLogout: { enabled: true } },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
    // Its own way refuses every address of this machine, and the gateway is told there that a session ended.
    fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
    // The gateway reads the ID token and asks for nothing else.
    conformIdTokenClaims: false,
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: id, email_verified: true, name: id }),
    }),
    cookies: { keys: ["keys of a provider that lives for one test"] },
  });
  server.on("request", provider.callback());
  process.stdout.write(`${JSON.stringify({ issuer })}\n`);
});

process.stdin.on("end", () => process.exit(0)).resume();
