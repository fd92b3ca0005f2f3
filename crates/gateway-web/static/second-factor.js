// Passkeys, and second factors asked for in place. Every form works without this file; only passkeys are a script's.

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const encoded = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const utf8 = (text) => new TextEncoder().encode(text);
const canUsePasskeys = Boolean(window.PublicKeyCredential && navigator.credentials);

// What the gateway says a passkey is asked, as the browser takes it.
function decoded({ publicKey }) {
  const named = (key) => ({ ...key, id: bytes(key.id) });
  const options = { ...publicKey, challenge: bytes(publicKey.challenge) };
  if (publicKey.user) options.user = { ...publicKey.user, id: bytes(publicKey.user.id) };
  if (publicKey.excludeCredentials) options.excludeCredentials = publicKey.excludeCredentials.map(named);
  if (publicKey.allowCredentials) options.allowCredentials = publicKey.allowCredentials.map(named);
  return { publicKey: options };
}

// What a passkey answered, as the gateway takes it.
function answer(credential) {
  const { response } = credential;
  const told = { id: credential.id, rawId: encoded(credential.rawId), type: credential.type, extensions: {} };
  told.response = { clientDataJSON: encoded(response.clientDataJSON) };
  if (response.attestationObject) {
    told.response.attestationObject = encoded(response.attestationObject);
  } else {
    told.response.authenticatorData = encoded(response.authenticatorData);
    told.response.signature = encoded(response.signature);
    told.response.userHandle = response.userHandle ? encoded(response.userHandle) : null;
  }
  return JSON.stringify(told);
}

// Why it did not come to an answer, in a sentence.
function told(error) {
  if (error.name === "NotAllowedError") return "The passkey was not used: it was cancelled, or took too long.";
  if (error.name === "InvalidStateError") return "This passkey is enrolled already.";
  if (error.name === "SecurityError") return "Passkeys cannot be used at this address; open the gateway by its name.";
  return error.message;
}

// The sentence of a page that tells a problem.
const sentence = (html) => new DOMParser().parseFromString(html, "text/html").querySelector("main .lead")?.textContent;

// Sends fields as a form; the address it ended at, and the page.
async function send(place, fields) {
  const reply = await fetch(place, { method: "POST", headers: { Accept: "text/html" }, body: new URLSearchParams(fields) });
  return { reply, html: await reply.text() };
}

// Asks a passkey; what is typed into a field for codes.
async function askPasskey(place, csrf, target) {
  const fields = { ...(csrf ? { _csrf: csrf } : {}), begin: "passkey", ...(target ? { for: target } : {}) };
  const { reply, html } = await send(place, fields);
  if (!reply.ok) throw new Error(sentence(html) ?? "The gateway cannot ask a passkey now.");
  const credential = await navigator.credentials.get(decoded(JSON.parse(html)));
  return `webauthn.${encoded(utf8(answer(credential)))}`;
}

function complain(form, text) {
  let place = form.querySelector("[data-fault]");
  if (!place) {
    place = document.createElement("p");
    place.className = "notice bad";
    place.dataset.fault = "";
    place.setAttribute("role", "alert");
    form.prepend(place);
  }
  place.textContent = text;
}

// A button that does something with a passkey, once at a time.
function onPasskey(form, button, use) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await use();
    } catch (error) {
      complain(form, told(error));
    } finally {
      button.disabled = false;
    }
  });
}

// Not `form.action`: that is a field of this name, where there is one.
const addressOf = (form) => new URL(form.getAttribute("action"), location.href).href;

// The form of a sign-in has none: there is no session yet.
const csrfOf = (form) => form.querySelector('input[name="_csrf"]')?.value;

// The page that makes a passkey.
function setUpEnrolment(form) {
  onPasskey(form, form.querySelector("[data-use-passkey]"), async () => {
    const credential = await navigator.credentials.create(decoded(JSON.parse(form.dataset.passkeyCreate)));
    form.elements.credential.value = answer(credential);
    form.submit();
  });
}

// A form whose field for a code takes a passkey's answer too.
function setUpField(form) {
  onPasskey(form, form.querySelector("[data-use-passkey]"), async () => {
    const field = form.querySelector('input[name="code"], input[name="_code"]');
    const target = form.dataset.passkeyFor;
    field.value = await askPasskey(form.dataset.passkey, csrfOf(form), target);
    form.submit();
  });
}

// Shows the page that answered a form, as if the browser had gone there.
function show(reply, html) {
  if (reply.redirected) {
    location.assign(reply.url);
    return;
  }
  const page = new DOMParser().parseFromString(html, "text/html");
  document.title = page.title;
  document.body.replaceWith(document.adoptNode(page.body));
  window.scrollTo(0, 0);
  document.dispatchEvent(new Event("page-shown"));
  document.getElementById("content")?.focus();
}

const element = (name, properties, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

// What a form does, for people: the action in words, and what it is done to.
const fact = (name, value) => element("div", {}, element("dt", { textContent: name }), element("dd", {}, value));

// A dialog that asks for a factor for `action`; `again` sends the form with it and says what is wrong with it, if anything.
function openDialog(form, { why, action }, again) {
  const facts = element("dl", { className: "facts" });
  if (action) facts.append(fact("Action", element("strong", { textContent: action })));
  facts.append(fact("On", element("code", { textContent: new URL(addressOf(form)).pathname })));
  const input = element("input", { name: "code", inputMode: "numeric", autocomplete: "one-time-code", maxLength: 48, spellcheck: false, required: true });
  const label = element("label", { className: "field code" }, element("span", { className: "label", textContent: "Code from your authenticator" }), input,
    element("span", { className: "hint", textContent: "Six digits, or a backup code." }));
  const confirm = element("button", { className: "button primary", textContent: "Confirm" });
  const passkey = element("button", { className: "button", type: "button", textContent: "Use a passkey", hidden: true });
  const leave = element("button", { className: "button quiet", type: "button", textContent: "Leave it" });
  const inner = element("form", { method: "dialog" }, element("h2", { id: "second-factor-title", textContent: "Confirm that it is you" }),
    element("p", { textContent: why }), facts, label, element("p", { className: "buttons" }, confirm, passkey, leave));
  const dialog = element("dialog", { className: "second-factor" }, inner);
  dialog.setAttribute("aria-labelledby", "second-factor-title");
  const give = async (code) => {
    const needs = await again(code);
    if (needs) {
      complain(inner, needs.why);
      input.value = "";
      input.focus();
    }
  };
  inner.addEventListener("submit", (event) => {
    event.preventDefault();
    give(input.value).catch((error) => complain(inner, told(error)));
  });
  leave.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  if (canUsePasskeys) {
    const target = `POST ${new URL(addressOf(form)).pathname}`;
    onPasskey(inner, passkey, async () => give(await askPasskey("/step-up/request", csrfOf(form), target)));
  }
  document.body.append(dialog);
  dialog.showModal();
}

// A form that may need a factor: it is sent, and only when one is missing a dialog asks for it, in place.
function setUpInPlace(form) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const fields = [...new FormData(form, event.submitter)];
    const others = fields.filter(([name]) => name !== "_code");
    const attempt = async (code) => {
      const { reply, html } = await send(addressOf(form), [...others, ["_code", code]]);
      const needs = reply.status === 401 && new DOMParser().parseFromString(html, "text/html").querySelector("form[data-passkey]");
      if (needs) return { why: sentence(html) ?? "A second factor is needed.", action: needs.dataset.for };
      document.querySelector("dialog.second-factor")?.close();
      show(reply, html);
      return undefined;
    };
    const button = event.submitter;
    if (button) button.disabled = true;
    try {
      const needs = await attempt(form.querySelector('input[name="_code"]').value);
      if (needs) openDialog(form, needs, attempt);
    } catch {
      // Sent again, it might be done twice.
      complain(form, "It is not known whether this was done. Load the page again and look before you repeat it.");
    } finally {
      if (button) button.disabled = false;
    }
  });
}

function setUp() {
  // The rack's own client waits for the browser to come there.
  const next = document.querySelector("a[data-follow]");
  if (next) location.assign(next.href);
  if (canUsePasskeys) {
    document.querySelectorAll("form[data-passkey-create]").forEach(setUpEnrolment);
    document.querySelectorAll("form[data-passkey]").forEach(setUpField);
  }
  for (const field of document.querySelectorAll('form[method="post"]:not([data-passkey]) input[name="_code"]')) setUpInPlace(field.form);
}

document.addEventListener("page-shown", setUp);
setUp();
