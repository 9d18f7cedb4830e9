"""If-Match and If-None-Match."""

import pytest

from fhirserver.errors import PreconditionFailed
from fhirserver.interactions.contention import check_write, names
from fhirserver.interactions.request import Request
from fhirserver.store.port import Version

THIRD = Version("Patient", "1", 3, 0, "PUT", b"{}")
DELETED = Version("Patient", "1", 3, 0, "DELETE", None)


@pytest.mark.parametrize("tag", ['W/"3"', '"3"', "3", "*", 'W/"1", W/"3"', ' W/"3" '])
def test_these_name_version_3(tag: str) -> None:
    assert names(tag, THIRD)
    check_write(Request("update", "", if_match=tag), THIRD)
    with pytest.raises(PreconditionFailed):
        check_write(Request("update", "", if_none_match=tag), THIRD)


@pytest.mark.parametrize("tag", ['W/"2"', "", "33", 'W/"03"', 'w/"3"x', "W/3/", "abc"])
def test_these_do_not(tag: str) -> None:
    assert not names(tag, THIRD)
    with pytest.raises(PreconditionFailed):
        check_write(Request("update", "", if_match=tag), THIRD)
    check_write(Request("update", "", if_none_match=tag), THIRD)


@pytest.mark.parametrize("current", [None, DELETED])
def test_nothing_is_named_where_there_is_no_resource(current: Version | None) -> None:
    with pytest.raises(PreconditionFailed):
        check_write(Request("update", "", if_match="*"), current)
    with pytest.raises(PreconditionFailed):
        check_write(Request("update", "", if_match='W/"3"'), current)
    check_write(Request("update", "", if_none_match="*"), current)
