"""The page at `/`: what runs here, its addresses, what it holds, and links to try.

Plain HTML with its style inside, no script, nothing from elsewhere.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import Final, NamedTuple
from urllib.parse import quote

_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b2733;--soft:#51606f;--line:#d5dde5;--paper:#fff;
--shade:#f3f6f9;--link:#0b5cad;--note:#8a4b00}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#a3b1bf;--line:#33404d;
--paper:#11181f;--shade:#1a232c;--link:#7db8f5;--note:#f0b866}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main,header,footer{max-width:60rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2.5rem}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .3rem}
h2{font-size:1.15rem;margin:2.2rem 0 .6rem}
p{margin:.4rem 0}
.soft{color:var(--soft)}
.note{border-left:.25rem solid var(--note);background:var(--shade);padding:.6rem .9rem;
margin:1.2rem 0}
a{color:var(--link)}
a:focus-visible{outline:.15rem solid currentColor;outline-offset:.15rem}
code{font:.92em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
pre{background:var(--shade);padding:.8rem;overflow-x:auto}
ul.links{list-style:none;padding:0;margin:0}
ul.links li{padding:.45rem 0;border-top:1px solid var(--line)}
ul.links span{display:block;color:var(--soft);font-size:.92rem}
table{border-collapse:collapse;width:100%}
caption{text-align:left;color:var(--soft);padding-bottom:.4rem}
th,td{text-align:left;padding:.35rem .6rem .35rem 0;border-top:1px solid var(--line)}
td{text-align:right;font-variant-numeric:tabular-nums}
thead th:last-child{text-align:right}
footer{color:var(--soft);padding-top:2rem;padding-bottom:2.5rem;font-size:.92rem}
"""

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; "
    f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""What the page is sent with: it may load nothing, and be shown in no frame."""


class Example(NamedTuple):
    """A link to try: its path below the base, and what it shows."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Landing:
    """What the page tells. `counts` are resources by type; they are told of an open server only.
    `has_sample_app`: there is an app to try authorization with."""

    version: str
    base: str
    is_open: bool
    counts: Mapping[str, int]
    examples: tuple[Example, ...]
    has_sample_app: bool = False


def examples(counts: Mapping[str, int], patient: str | None) -> tuple[Example, ...]:
    """Links that lead somewhere, given what there is and the id of some patient."""
    found = [Example("metadata", "What this server can do: its CapabilityStatement")]
    if patient is not None:
        of_patient = quote(patient, safe="")
        found += [
            Example(f"Patient/{of_patient}", "Read a patient"),
            Example(f"Patient/{of_patient}/_history", "All versions of that patient"),
            Example("Patient?_sort=-_lastUpdated&_count=5", "The patients changed last"),
        ]
        found += [
            Example(f"{type}?{query.format(of_patient)}", text)
            for type, query, text in _OF_PATIENT
            if counts.get(type)
        ]
    elif counts:
        type = max(counts, key=lambda name: counts[name])
        found.append(Example(f"{type}?_count=5", f"Search for {type}"))
    return tuple(found)


def landing_page(told: Landing) -> bytes:
    """The page as UTF-8 HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>FHIR R4 server</title><style>{_STYLE}</style></head><body>"
        f"<header><h1>FHIR R4 server</h1><p>fhirserver {escape(told.version)} is running. Its "
        f"service base is <code>{escape(told.base)}</code>.</p></header>"
        f"<main>{_openness(told)}{_people(told)}{_links(told)}{_counts(told)}</main>"
        "<footer><p>Programs talk to the service base; this page is for people. "
        '<a href="healthz">Is it alive?</a> <a href="readyz">Is it ready?</a> '
        '<a href="https://hl7.org/fhir/R4/http.html">The standard</a></p></footer></body></html>'
    ).encode()


_OF_PATIENT: Final = (
    ("Encounter", "patient={}&_include=Encounter:patient", "Encounters of that patient, with it"),
    ("Observation", "patient={}&_sort=-date&_count=10", "The patient's latest observations"),
    ("Condition", "patient={}", "The patient's conditions"),
    ("MedicationRequest", "patient={}", "The patient's prescriptions"),
    ("Appointment", "patient={}", "The patient's appointments"),
    ("ImagingStudy", "patient={}", "The patient's imaging studies"),
)


def _openness(told: Landing) -> str:
    if not told.is_open:
        return ""
    return (
        '<p class="note"><strong>Open server.</strong> Everybody on this machine may read and '
        "change everything here. It listens on this machine only.</p>"
    )


def _people(told: Landing) -> str:
    """What people can do here who are asked to sign in."""
    if told.is_open:
        return ""
    app = (
        '<li><a href="sample-app/">Sample app</a><span>A SMART app that shows one patient’s '
        "measurements: connect it, sign in, and allow what it may see</span></li>"
    )
    return (
        f'<h2>For people</h2><ul class="links">{app if told.has_sample_app else ""}'
        '<li><a href="auth/account">Your account</a><span>Sign in; password, second factor, '
        'sessions</span></li><li><a href="auth/apps">Connected apps</a><span>See which apps have '
        "access in your name, and take it back</span></li></ul>"
    )


def _links(told: Landing) -> str:
    items = "".join(
        f'<li><a href="{escape(_address(told.base, item.path))}"><code>GET '
        f"{escape(item.path)}</code></a><span>{escape(item.text)}</span></li>"
        for item in told.examples
    )
    return f'<h2>Try it</h2><ul class="links">{items}</ul>'


def _counts(told: Landing) -> str:
    if not told.is_open:
        return ""
    if not told.counts:
        return (
            "<h2>What it holds</h2><p>Nothing yet. Load your own data:</p>"
            f"<pre><code>fhirserver load FOLDER --url {escape(told.base)}</code></pre>"
        )
    return (
        "<h2>What it holds</h2><table><caption>"
        f"{sum(told.counts.values()):,} resources of {len(told.counts)} types</caption>"
        '<thead><tr><th scope="col">Type</th><th scope="col">Resources</th></tr></thead><tbody>'
        f"{''.join(_rows(told))}</tbody></table>"
    )


def _rows(told: Landing) -> Iterable[str]:
    for type, count in sorted(told.counts.items(), key=lambda item: (-item[1], item[0])):
        address = escape(_address(told.base, type))
        link = f'<a href="{address}">{escape(type)}</a>'
        yield f'<tr><th scope="row">{link}</th><td>{count:,}</td></tr>'


def _address(base: str, path: str) -> str:
    separator = "&" if "?" in path else "?"
    return f"{base}/{path}{separator}_format=json&_pretty=true"
