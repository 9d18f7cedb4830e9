"use strict";

const CLIENT = "sample-app";
const RECORD = "patient/Patient.rs patient/Observation.rs patient/Condition.rs";
const STANDALONE = `openid fhirUser launch/patient ${RECORD}`;
const FROM_WITHIN = `openid fhirUser launch ${RECORD}`;

const place = (id) => document.getElementById(id);
const say = (words) => { place("status").textContent = words; place("status").hidden = !words; };
const cell = (words) => Object.assign(document.createElement("td"), { textContent: words });
const entries = (bundle, type) =>
  (bundle?.entry ?? []).map((entry) => entry.resource).filter((found) => found.resourceType === type);
const words = (concept) => concept?.text ?? concept?.coding?.[0]?.display ?? concept?.coding?.[0]?.code ?? "";
const named = (person) => {
  const name = person?.name?.[0];
  return name ? name.text ?? [...(name.given ?? []), name.family].join(" ") : "";
};
const measured = (item) => item.component
  ? item.component.map(measured).filter(Boolean).join(" / ")
  : [item.valueQuantity?.value ?? words(item.valueCodeableConcept), item.valueQuantity?.unit].filter(Boolean).join(" ");

async function show(tokens) {
  const [patient, vitals, conditions] = await Promise.all([
    OAuth.read(tokens, `Patient/${tokens.patient}`),
    OAuth.read(tokens, `Observation?patient=${tokens.patient}&_sort=-date&_count=15`),
    OAuth.read(tokens, `Condition?patient=${tokens.patient}&_count=30`),
  ]);
  const claims = JSON.parse(atob(tokens.id_token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
  const user = claims.fhirUser ? await OAuth.read(tokens, claims.fhirUser.split("/").slice(-2).join("/")) : null;
  if (tokens.need_patient_banner) place("banner").textContent = `${named(patient)} · born ${patient?.birthDate ?? "?"}`;
  place("user").textContent = named(user) || "somebody";
  for (const item of entries(vitals, "Observation")) {
    const row = document.createElement("tr");
    row.append(cell((item.effectiveDateTime ?? "").slice(0, 10)), cell(words(item.code)), cell(measured(item)));
    place("vitals").append(row);
  }
  for (const item of entries(conditions, "Condition")) {
    place("conditions").append(Object.assign(document.createElement("li"), { textContent: words(item.code) }));
  }
  place("granted").textContent = tokens.scope.split(" ").join("\n");
  place("disconnect").addEventListener("click", async () => {
    await OAuth.revoke(tokens);
    place("record").hidden = true;
    say("The access was given back.");
  });
  place("record").hidden = false;
  say("");
}

async function main() {
  const asked = new URLSearchParams(location.search);
  if (asked.has("code") || asked.has("error")) {
    say("Finishing…");
    return show(await OAuth.finish(asked));
  }
  if (asked.has("launch")) {
    if (asked.get("iss") !== OAuth.base) throw new Error("This app works with the server it comes from only.");
    return OAuth.begin(CLIENT, FROM_WITHIN, asked.get("launch"));
  }
  say("");
  place("start").hidden = false;
  place("connect").addEventListener("click", () => OAuth.begin(CLIENT, STANDALONE).catch(fail));
  return null;
}

const fail = (error) => { place("start").hidden = false; say(error.message); };
main().catch(fail);
