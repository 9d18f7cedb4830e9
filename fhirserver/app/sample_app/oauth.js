// SMART App Launch 2.2 for a public app: PKCE, state, iss. It talks to the server that serves it
// and to no other, whatever `iss` says. Tokens stay in memory; only what survives the way to the
// sign-in pages and back is kept, for this tab.
"use strict";

const OAuth = (() => {
  const KEY = "sample-app";
  const root = location.pathname.replace(/\/sample-app\/.*$/, "");
  const base = `${location.origin}${root}/fhir`;
  const own = `${location.origin}${root}/sample-app/`;

  const text = (bytes) =>
    btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const random = () => text(crypto.getRandomValues(new Uint8Array(32)));
  const challengeOf = async (verifier) =>
    text(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));

  async function configuration() {
    const response = await fetch(`${base}/.well-known/smart-configuration`);
    if (!response.ok) throw new Error("The server tells nothing of how to connect.");
    return response.json();
  }

  async function begin(clientId, scope, launch) {
    const known = await configuration();
    const kept = { state: random(), verifier: random(), clientId };
    sessionStorage.setItem(KEY, JSON.stringify(kept));
    const asked = new URLSearchParams({
      response_type: "code", client_id: clientId, redirect_uri: own, scope, state: kept.state, aud: base,
      code_challenge: await challengeOf(kept.verifier), code_challenge_method: "S256",
    });
    if (launch) asked.set("launch", launch);
    location.assign(`${known.authorization_endpoint}?${asked}`);
  }

  // The answer of the server, as the parameters of this page's address say.
  async function finish(answer) {
    const kept = JSON.parse(sessionStorage.getItem(KEY) || "null");
    sessionStorage.removeItem(KEY);
    history.replaceState(null, "", own);
    const known = await configuration();
    if (!kept || answer.get("state") !== kept.state || answer.get("iss") !== known.issuer)
      throw new Error("This answer does not belong to a request of this tab. Connect again.");
    if (answer.has("error"))
      throw new Error(answer.get("error_description") || answer.get("error"));
    const response = await fetch(known.token_endpoint, {
      method: "POST",
      body: new URLSearchParams({
        grant_type: "authorization_code", code: answer.get("code"), redirect_uri: own,
        client_id: kept.clientId, code_verifier: kept.verifier,
      }),
    });
    const tokens = await response.json();
    if (!response.ok) throw new Error(tokens.error_description || tokens.error);
    return { ...tokens, clientId: kept.clientId, revocation: known.revocation_endpoint };
  }

  async function read(tokens, path) {
    const headers = { Accept: "application/fhir+json", Authorization: `Bearer ${tokens.access_token}` };
    const response = await fetch(`${base}/${path}`, { headers });
    if (response.status === 401) throw new Error("The access has ended. Connect again.");
    return response.ok ? response.json() : null;
  }

  const revoke = (tokens) => fetch(tokens.revocation, {
    method: "POST",
    body: new URLSearchParams({ token: tokens.access_token, client_id: tokens.clientId }),
  });

  return { base, begin, finish, read, revoke };
})();
