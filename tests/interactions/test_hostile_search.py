"""Whatever a caller asks for, a search answers or refuses with a 4xx; it never fails."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from interactions.client import BASE, Client, open_context

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import FhirError
from fhirserver.interactions.request import Request
from fhirserver.model.json import decode


def words(text: str) -> list[str]:
    return text.split()


_NAMES = words("""
_has:Observation:subject:code subject.name subject:Patient._has _has _sort _count _include
_revinclude _include:iterate _summary _elements _total _type _list _contained _cursor _format .
subject: : _has: _has::: subject.. .subject focus.focus.focus.code
""")
_VALUES = words(r"""
, | $ \ \, a|b|c a$b$c || true -1 0 NaN 1e999 ge ap0 ge2020-13-01 0001 ne2020-02-30
9999-12-31T23:59:59.999999Z Patient/1 Patient/ /1 http:// urn:uuid: # * Observation:* a:b:c:d
code,-date --date % 💥 '"-- 5.40e-3|http://unitsofmeasure.org|g
http://hl7.org/fhir/ValueSet/observation-status
""")
_MODIFIERS = words(":missing :exact :not :in :above :of-type :Patient :identifier")

NAMES = st.one_of(
    st.sampled_from([*packaged().search_parameters("Observation"), *_NAMES]), st.text(max_size=8)
)
MODIFIERS = st.sampled_from(["", "", "", *_MODIFIERS])
VALUES = st.one_of(
    st.sampled_from(["", "\x00", "1" * 400, "0." + "1" * 400, "é" * 50, *_VALUES]),
    st.text(max_size=12),
)
REQUESTS = st.builds(
    Request,
    st.just("search-type"),
    st.just(BASE),
    type=st.sampled_from([None, "Observation", "Patient", "Library"]),
    compartment=st.sampled_from([None, None, ("Patient", "p"), ("Device", "p"), ("Group", "p")]),
    parameters=st.lists(
        st.tuples(st.builds(str.__add__, NAMES, MODIFIERS), VALUES), max_size=3
    ).map(tuple),
    handling=st.sampled_from(["strict", "lenient"]),
)


@pytest.fixture
async def client(
    tmp_path_factory: pytest.TempPathFactory, each_store: str
) -> AsyncIterator[Client]:
    async with open_context(tmp_path_factory.mktemp("store") / "fhir.db") as context:
        client = Client(context)
        code = {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}
        await client.put(
            {"resourceType": "Patient", "id": "p", "name": [{"family": "a"}]},
            {"resourceType": "Observation", "id": "o", "status": "final", "code": code},
        )
        yield client


@settings(
    max_examples=settings.default.max_examples * 6,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(REQUESTS)
async def test_no_search_fails(client: Client, asked: Request) -> None:
    try:
        answer = await client.gate.dispatch(asked)
    except FhirError as error:
        assert 400 <= error.status < 500
    else:
        assert decode(answer.body or b"")["type"] == "searchset"
