// Asks the browser for a passkey when a form with data-passkey is sent, and sends its answer.
"use strict";
for (const form of document.querySelectorAll("form[data-passkey]")) {
  const parts = window.PublicKeyCredential ?? {};
  form.addEventListener("submit", async (event) => {
    if (form.elements.answer.value) return;
    event.preventDefault();
    const trouble = form.querySelector("[role=alert]");
    trouble.hidden = true;
    try {
      const options = JSON.parse(form.dataset.options);
      const credential = form.dataset.passkey === "create"
        ? await navigator.credentials.create({
            publicKey: parts.parseCreationOptionsFromJSON(options) })
        : await navigator.credentials.get({
            publicKey: parts.parseRequestOptionsFromJSON(options) });
      form.elements.answer.value = JSON.stringify(credential.toJSON());
      form.requestSubmit();
    } catch {
      trouble.hidden = false;
    }
  });
}
