"""That a column has one of very many resources, without a value for each in the statement."""

from __future__ import annotations

from typing import TypeVar

from fhirserver.search.expression import Target
from fhirserver.search.many import Many
from fhirserver.store.sqlite.dictionary import Dictionary
from fhirserver.store.sqlite.sql import Sql, all_of, negated, one_of, sql

_One = TypeVar("_One", str, Target)


def among(column: str, many: Many[_One], tid: int, names: Dictionary) -> Sql:
    """That the column has the number of one of the resources, all of the type.

    What a list was made of by leaving some out is looked up as a whole, and these are told.
    """
    base = many if many.base is None else many.base
    holds = sql(f"among(?, {column})", names.set_of(base, tid))
    if not many.besides:
        return holds
    few = [names.resource(tid, one if isinstance(one, str) else one.id) for one in many.besides]
    return all_of((holds, negated(one_of(column, few, is_sought=True))))
