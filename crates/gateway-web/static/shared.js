// The secret of a link stands behind `#`, so that no server on the way and no referrer has it. It goes into the form's
// field, leaves the address, and is sent once.
const secret = location.hash.slice(1);
const form = document.querySelector("form[data-shared]");
if (secret && form) {
  history.replaceState(null, "", location.pathname);
  form.elements.secret.value = secret;
  form.requestSubmit();
}
