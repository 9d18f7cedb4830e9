"""What the archive's stores see of a header."""

from __future__ import annotations

import pytest
from archive.conftest import KEYS

from fhirserver.archive.veil import Sealed
from fhirserver.store.sealed.cipher import Altered, Cipher

pytestmark = pytest.mark.check("OPS-5")


def test_a_header_opens_in_its_place_and_for_its_tenant_only() -> None:
    sealed = Sealed("a", KEYS).seal(b"header", "header|1.2.3")
    assert b"header" not in sealed
    assert Sealed("a", KEYS).open(sealed, "header|1.2.3") == b"header"
    for tenant, place in (("a", "header|1.2.4"), ("b", "header|1.2.3"), ("a", "instance|1.2.3")):
        with pytest.raises(Altered):
            Sealed(tenant, KEYS).open(sealed, place)


def test_what_an_earlier_version_sealed_is_opened() -> None:
    former = Cipher("a", {1: KEYS.derived("archive headers")}, 1)
    sealed = former.seal(b"header", "archive|header|1.2.3")
    assert Sealed("a", KEYS).open(sealed, "header|1.2.3") == b"header"
    with pytest.raises(Altered):
        Sealed("a", KEYS).open(sealed, "header|1.2.4")
