import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from fhirserver.rest.landing import SECURITY_HEADERS, Example, Landing, examples, landing_page


class Page(HTMLParser):
    """Checks that tags nest, and collects links and text."""

    VOID = frozenset({"meta"})

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(html.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [value for name, value in attrs if name == "href"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def told(**changes):
    values = {
        "version": "1.0",
        "base": "http://localhost/fhir",
        "is_open": True,
        "counts": {"Patient": 1234, "Observation": 5},
        "examples": (Example("Patient/1", "Read a patient"),),
    }
    return Landing(**(values | changes))


def test_what_runs_and_what_it_holds():
    page = Page(landing_page(told()))
    assert "fhirserver 1.0 is running" in page.text
    assert "http://localhost/fhir" in page.text
    assert "1,239 resources of 2 types" in page.text
    assert "Everybody on this machine may read and change everything" in page.text
    assert page.links[0] == "http://localhost/fhir/Patient/1?_format=json&_pretty=true"
    assert page.tags.count("h1") == 1


def test_an_empty_store():
    page = Page(landing_page(told(counts={}, examples=examples({}, None))))
    assert "fhirserver load" in page.text
    assert len(page.links) == 4


def test_nothing_runs_and_nothing_is_loaded():
    html = landing_page(told())
    page = Page(html)
    assert not {"script", "img", "link", "iframe", "form"} & set(page.tags)
    assert b" style=" not in html
    style = re.search(rb"<style>(.*?)</style>", html, re.DOTALL)[1]
    digest = b64encode(sha256(style).digest()).decode()
    assert f"'sha256-{digest}'" in SECURITY_HEADERS["Content-Security-Policy"]
    assert "unsafe" not in SECURITY_HEADERS["Content-Security-Policy"]


def test_what_comes_from_outside_is_escaped():
    html = landing_page(told(base='http://"><script>', counts={"<b>": 1}, version="<i>"))
    assert b"<script>" not in html
    assert b"<b>" not in html
    assert b"<i>" not in html


@pytest.mark.parametrize(
    ("counts", "patient", "paths"),
    [
        ({}, None, ["metadata"]),
        ({"Device": 3, "Basic": 1}, None, ["metadata", "Device?_count=5"]),
        (
            {"Patient": 1, "Condition": 2},
            "p.1",
            [
                "metadata",
                "Patient/p.1",
                "Patient/p.1/_history",
                "Patient?_sort=-_lastUpdated&_count=5",
                "Condition?patient=p.1",
            ],
        ),
    ],
)
def test_examples_lead_to_what_there_is(counts, patient, paths):
    assert [item.path for item in examples(counts, patient)] == paths
