from __future__ import annotations

import pytest

from fhirserver.fhirpath import evaluate
from fhirserver.fhirpath.functions.narrative import is_narrative

XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'


@pytest.mark.parametrize(
    "inside",
    [
        "text",
        "<p style='color: red'>a<b>b</b><br/></p>",
        "<a href='#x'>x</a><a name='x'>y</a>",
        "<img src='#i' alt=''/>",
        "<table summary='s'><thead><tr><th colspan='2'>a</th></tr></thead></table>",
        "&lt;script&gt;",
        "<ul><li>a</li></ul>",
        "<p xml:lang='de'>a</p>",
    ],
)
def test_formatted_text_is_a_narrative(inside: str) -> None:
    assert is_narrative(f"<div {XHTML}>{inside}</div>")


@pytest.mark.parametrize(
    "xhtml",
    [
        f"<div {XHTML}></div>",
        f"<div {XHTML}>  <p> </p></div>",
        "<div>no namespace</div>",
        f"<p {XHTML}>no div</p>",
        f"<div {XHTML}><script>x</script></div>",
        f"<div {XHTML}><p onclick='x()'>a</p></div>",
        f"<div {XHTML}><a href='javascript:x()'>a</a></div>",
        f"<div {XHTML}><a href=' JavaScript:x()'>a</a></div>",
        f"<div {XHTML}><form>a</form></div>",
        f"<div {XHTML}><iframe src='x'/>a</div>",
        f"<div {XHTML}><b>a</div>",
        f"<div {XHTML}>a</div><div {XHTML}>b</div>",
        f"<!DOCTYPE div [<!ENTITY a 'b'>]><div {XHTML}>&a;</div>",
        f"<div {XHTML}>&unknown;</div>",
        f"<div {XHTML}><?php x?>a</div>",
        f'<div {XHTML} xmlns:e="http://e.org"><e:p>a</e:p></div>',
        "",
        "plain",
        "\ud800",
    ],
)
def test_what_breaks_a_rule_is_none(xhtml: str) -> None:
    assert not is_narrative(xhtml)


def test_html_checks_looks_at_the_div() -> None:
    patient = {
        "resourceType": "Patient",
        "text": {"status": "generated", "div": f"<div {XHTML}>a</div>"},
    }
    assert evaluate(patient, "text.div.htmlChecks()") == [True]
    assert evaluate(patient, "name.htmlChecks()") == []
    patient["text"]["div"] = f"<div {XHTML}><script/></div>"
    assert evaluate(patient, "text.`div`.htmlChecks()") == [False]
