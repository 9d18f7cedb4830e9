from hypothesis import given
from hypothesis import strategies as st

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import FhirError
from fhirserver.rest.asked import asked, bare_read
from fhirserver.rest.body import BodyLimits

BASE = "http://localhost/fhir"
PARTS = st.sampled_from(
    ["Patient", "Binary", "Nonsense", "metadata", "_history", "_search", "$x", "a.b-C1", "a_b", ""]
)


def scope(path, method="GET", query=b""):
    return {
        "method": method,
        "path": f"/fhir/{path}",
        "raw_path": f"/fhir/{path}".encode(),
        "query_string": query,
    }


async def receive():
    return {"type": "http.request", "body": b""}


async def general(scope, headers):
    return await asked(
        scope,
        scope["path"].removeprefix("/fhir"),
        headers,
        receive,
        base=BASE,
        definitions=packaged(),
        limits=BodyLimits(),
    )


@given(
    st.lists(PARTS, max_size=4),
    st.sampled_from(["GET", "HEAD", "DELETE"]),
    st.sampled_from([b"", b"_pretty=true"]),
    st.dictionaries(
        st.sampled_from([b"accept", b"if-none-match", b"if-modified-since", b"prefer", b"x"]),
        st.just(b"*/*"),
        max_size=2,
    ),
)
async def test_a_bare_read_is_what_it_would_be_in_more_steps(parts, method, query, headers):
    found = scope("/".join(parts), method, query)
    bare = bare_read(found, "fhir", headers, BASE, packaged())
    try:
        in_full = await general(found, headers)
    except FhirError:
        assert bare is None
        return
    if bare is not None:
        assert bare == in_full.request
        assert not in_full.indent
    elif in_full.request.interaction == "read":
        plain = method == "GET" and "" not in parts and not query and not headers
        assert in_full.content_type is None or not plain


def test_what_is_bare():
    assert bare_read(scope("Patient/a"), "fhir", {}, BASE, packaged()) is not None
    for path in ("Patient/a/", "Patient/%61", "Patient//a", "Binary/a", "Nonsense/a"):
        assert bare_read(scope(path), "fhir", {}, BASE, packaged()) is None
    assert bare_read(scope("Patient/a"), "elsewhere", {}, BASE, packaged()) is None
