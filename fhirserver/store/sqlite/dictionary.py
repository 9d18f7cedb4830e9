"""Types, search parameters and systems as small integers.

Rows of these tables are never changed or removed, so what one connection once saw stays
true. `UNKNOWN` stands for what the store never saw: no row has it, so it finds nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from fhirserver.search.expression import Target
from fhirserver.search.many import Many
from fhirserver.store.sqlite.connection import Connection

UNKNOWN = -1
_AT_ONCE = 500  # ids that are looked up in one statement
_SETS = 256  # of many resources, for which a connection keeps their numbers
_RIDS = "SELECT rid, id FROM resource WHERE tid=? AND id IN (SELECT value FROM json_each(?))"
_MANY = 100_000  # interned texts kept in memory; beyond that they are read again


@dataclass(slots=True)
class _Known:
    """What a connection knows of a list of many.

    `waiting` were not looked up yet, `missing` are those it never heard of.
    """

    number: int
    many: Many[Any]
    waiting: list[str]
    missing: set[str] = field(default_factory=set)


class Dictionary:
    """Numbers of names, as one connection sees them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._types: dict[str, int] = {"": 0}
        self._type_names: dict[int, str] = {0: ""}
        self._params: dict[int, dict[str, int]] = {}
        self._symbols: dict[str, int] = {"": 0}
        self._several: set[int] = set()
        self._last_set = 0
        self._many: dict[tuple[int, int], _Known] = {}

    def type(self, name: str) -> int:
        known = self._types.get(name)
        if known is None:
            known = self._look_up("SELECT tid FROM type WHERE name=?", (name,))
            if known != UNKNOWN:
                self._types[name] = known
                self._type_names[known] = name
        return known

    def type_name(self, tid: int) -> str:
        name = self._type_names.get(tid)
        if name is None:
            name = str(self._connection.execute("SELECT name FROM type WHERE tid=?", (tid,)).get)
            self._type_names[tid] = name
        return name

    def types(self) -> list[int]:
        """All types that any resource or reference ever had.

        Those of external references and of contained resources are left out.
        """
        rows = self._connection.execute(
            "SELECT tid FROM type WHERE tid>0 AND substr(name, 1, 1)<>'#' ORDER BY tid"
        )
        return [tid for (tid,) in rows]

    def param(self, tid: int, code: str) -> int:
        params = self.params_of(tid)
        known = params.get(code)
        if known is None:
            known = self._look_up("SELECT pid FROM param WHERE tid=? AND code=?", (tid, code))
            if known != UNKNOWN:
                params[code] = known
        return known

    def params_of(self, tid: int) -> dict[str, int]:
        """Those of a type that were asked for by now."""
        params = self._params.get(tid)
        if params is None:
            params = self._params[tid] = {}
        return params

    @property
    def symbols(self) -> dict[str, int]:
        """Those that were asked for by now."""
        return self._symbols

    def symbol(self, text: str) -> int:
        known = self._symbols.get(text)
        if known is None:
            known = self._look_up("SELECT sid FROM symbol WHERE text=?", (text,))
            if known != UNKNOWN:
                self._remember_symbol(text, known)
        return known

    def has_several(self, pid: int) -> bool:
        """Whether some resource may have several dates under a parameter.

        What it never had it may have by the next commit, so that only a yes is remembered.
        """
        if pid not in self._several:
            if self._look_up("SELECT pid FROM several WHERE pid=?", (pid,)) == UNKNOWN:
                return False
            self._several.add(pid)
        return True

    def set_of(self, base: Many[Any], tid: int) -> int:
        """The number under which the connection knows the resources.

        Those that are not heard of yet are looked for again: they may be there by now.
        """
        known = self._many.pop((id(base), tid), None)
        if known is None:
            self._last_set += 1
            known = _Known(self._last_set, base, [*map(_id, base)])
            self._connection.sets[known.number] = set()
        self._many[id(base), tid] = known
        if len(self._many) > _SETS:
            oldest = self._many.pop(next(iter(self._many)))
            del self._connection.sets[oldest.number]
        if known.missing:
            known.missing -= self._found(known, tid, list(known.missing))
        # Step by step: who has little time leaves the rest to who comes next.
        while known.waiting:
            some = known.waiting[-_AT_ONCE:]
            known.missing.update(set(some) - self._found(known, tid, some))
            del known.waiting[-_AT_ONCE:]
        return known.number

    def _found(self, known: _Known, tid: int, ids: list[str]) -> set[str]:
        pairs = list(self._connection.execute(_RIDS, (tid, json.dumps(ids))))
        self._connection.sets[known.number].update(rid for rid, _ in pairs)
        return {id for _, id in pairs}

    def resource(self, tid: int, id: str) -> int:
        """The `rid` of a resource, be it there, deleted or only referred to."""
        return self._look_up("SELECT rid FROM resource WHERE tid=? AND id=?", (tid, id))

    def _look_up(self, statement: str, args: tuple[int | str, ...]) -> int:
        for (number,) in self._connection.execute(statement, args):
            return int(number)
        return UNKNOWN

    def _remember_symbol(self, text: str, sid: int) -> None:
        if len(self._symbols) > _MANY:
            self._symbols = {"": 0}
        self._symbols[text] = sid


class Interning(Dictionary):
    """A dictionary that gives new names a number, inside the writer's transaction."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._added = False

    def mark(self) -> None:
        """From here on, `forget` takes back what was added."""
        self._added = False

    def forget(self) -> None:
        """The transaction was rolled back: numbers given in it do not exist."""
        self._many.clear()
        if self._added:
            self.__init__(self._connection)  # type: ignore[misc]

    def intern_type(self, name: str) -> int:
        tid = self._types.get(name) or self.type(name)
        if tid == UNKNOWN:
            tid = self._add("INSERT INTO type(name) VALUES(?)", (name,))
            self._types[name] = tid
            self._type_names[tid] = name
        return tid

    def intern_param(self, tid: int, code: str) -> int:
        pid = self.param(tid, code)
        if pid == UNKNOWN:
            pid = self._add("INSERT INTO param(tid, code) VALUES(?,?)", (tid, code))
            self.params_of(tid)[code] = pid
        return pid

    def intern_symbol(self, text: str) -> int:
        sid = self._symbols.get(text)
        if sid is not None:
            return sid
        sid = self.symbol(text)
        if sid == UNKNOWN:
            sid = self._add("INSERT INTO symbol(text) VALUES(?)", (text,))
            self._remember_symbol(text, sid)
        return sid

    def mark_several(self, pid: int) -> None:
        """A resource has several dates under the parameter."""
        if not self.has_several(pid):
            self._add("INSERT INTO several VALUES(?)", (pid,))
            self._several.add(pid)

    def _add(self, statement: str, args: tuple[int | str, ...]) -> int:
        self._connection.execute(statement, args)
        self._added = True
        return self._connection.last_insert_rowid()


def _id(one: str | Target) -> str:
    return one if isinstance(one, str) else one.id
