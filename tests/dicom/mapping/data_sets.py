"""Data sets in DICOM JSON, good and hostile, for the tests of what they mean in FHIR."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from fhirserver.dicom.mapping.facts import MAPPED_TAGS

CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY = "1.2.826.0.1.3680043.8.498.1"


def element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


def header(**more: Any) -> dict[str, Any]:
    """The header of a CT slice; elements by tag, as `t00100020=...`."""
    found = {
        "00080016": element("UI", CT),
        "00080018": element("UI", f"{STUDY}.1.1"),
        "0020000D": element("UI", STUDY),
        "0020000E": element("UI", f"{STUDY}.1"),
        "00080060": element("CS", "CT"),
        "00100010": element("PN", {"Alphabetic": "Doe^Jane"}),
        "00100020": element("LO", "4711"),
        "00100030": element("DA", "19700203"),
        "00100040": element("CS", "F"),
    }
    return found | {tag[1:]: value for tag, value in more.items()}


def instance(series: int, number: int, **more: Any) -> dict[str, Any]:
    """The header of one of several instances."""
    uids = {
        "t0020000E": element("UI", f"{STUDY}.{series}"),
        "t00080018": element("UI", f"{STUDY}.{series}.{number}"),
        "t00200011": element("IS", series),
        "t00200013": element("IS", number),
    }
    return header(**uids | more)


_ODD = st.sampled_from(
    [
        None,
        "",
        " ",
        "\x00",
        "\ud800",
        "\u200b",
        "1.2.3",
        "1..2",
        "0",
        "-1",
        -1,
        3,
        2.5,
        float("nan"),
        10**30,
        True,
        [],
        {},
        "x" * 5000,
        "20260230",
        "20261121",
        "00000000",
        "00010101",
        "99991231",
        "235960.999999",
        "12",
        "083000",
        "+1400",
        "-1400",
        "+9999",
        "+0030",
        "a b",
        "<div>",
        "é^ü=山田^太郎=やまだ^たろう",
        {"Alphabetic": "^^^^"},
        {"Alphabetic": 5, "Ideographic": "山田^太郎"},
        {"Alphabetic": "A^B^C^D^E^F^G"},
        "CT",
        "L",
        "CHEST",
        "SCT",
        "http://x y",
        "URI",
        "ISO",
    ]
)
_TAGS = st.sampled_from(
    sorted(
        MAPPED_TAGS
        | {"00080100", "00080102", "00080103", "00080104", "0008010C", "00080119"}
        | {"00400031", "00400032", "00400033", "00401101", "00400551"}
    )
)


def _elements(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.fixed_dictionaries(
            {"vr": st.just("XX")}, optional={"Value": st.lists(inner, max_size=3)}
        ),
        st.fixed_dictionaries({"vr": st.just("XX"), "Value": _ODD}),
        _ODD,
    )


_VALUES = st.recursive(
    _ODD | st.text(max_size=20),
    lambda inner: st.dictionaries(_TAGS, _elements(inner), max_size=4),
    max_leaves=6,
)
HOSTILE = st.dictionaries(_TAGS, _elements(_VALUES), max_size=14)
"""Headers of elements that a projection reads, with values that nobody should send."""
