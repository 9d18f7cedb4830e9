"""StructureDefinitions that are resources of this server, found by canonical URL.

Validation asks for those that are not packaged. What was found, or was not there, is kept for a
moment: every worker sees a new or changed definition after that, this one at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from fhirserver.definitions.registry import Definitions
from fhirserver.model.json import Resource, decode
from fhirserver.search.compile import compile_criteria
from fhirserver.search.expression import Query
from fhirserver.search.request import Limits

if TYPE_CHECKING:
    from fhirserver.interactions.context import Context

TYPE: Final = "StructureDefinition"

_KEPT: Final = 2_000_000  # microseconds
_MOST: Final = 5_000  # URLs that are remembered; anyone may name any


class StoredDefinitions:
    """The definitions of one server: those it came with, and the stored ones asked for so far."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, bytes | None]] = {}
        self._definitions: Definitions | None = None
        self._used: dict[str, bytes] = {}
        self._checked = 0  # when what is used was last seen as it is

    def forget(self) -> None:
        """Asks the store again from now on: a definition was written."""
        self._checked = 0
        self._found = {url: found for url, found in self._found.items() if found[1] is not None}

    def definitions(self, context: Context) -> Definitions:
        """The registry to validate by."""
        return context.definitions if self._definitions is None else self._definitions

    async def refresh(self, context: Context) -> None:
        """Takes in what has become of the definitions in use, if that was not done just now."""
        if self._used and self._checked + _KEPT <= context.now():
            self._checked = context.now()
            self._found.clear()
            await self.add(context, list(self._used))

    async def add(self, context: Context, urls: Iterable[str]) -> bool:
        """Looks for definitions; whether the registry has changed by that."""
        now = context.now()
        asked = [url for url in dict.fromkeys(urls) if self._found.get(url, (0,))[0] <= now]
        seen = set(asked)
        while asked:
            url = asked.pop()
            body = await newest(context, url)
            if len(self._found) >= _MOST:
                self._found.clear()
            self._found[url] = (now + _KEPT, body)
            base = None if body is None else _base(context, body)
            if base is not None and base not in seen:
                seen.add(base)
                asked.append(base)
        used = {url: body for url, (_, body) in self._found.items() if body is not None}
        if used == self._used or (not used and self._definitions is None):
            return False
        self._used = used
        definitions: list[Resource] = [decode(body) for body in used.values()]
        self._definitions = context.definitions.extended(definitions)
        self._checked = now
        return True


def _base(context: Context, body: bytes) -> str | None:
    """What a definition is based on, if that is needed and not packaged."""
    definition: Resource = decode(body)
    url = definition.get("baseDefinition")
    if "snapshot" in definition or not isinstance(url, str):
        return None
    return None if context.definitions.structure(url) is not None else url


async def newest(context: Context, url: str, type: str = TYPE) -> bytes | None:
    """The newest stored definition of a type and canonical URL that may be seen."""
    plain, _, version = url.partition("|")
    pairs = [("url", plain)]
    if version:
        pairs.append(("version", version))
    where = compile_criteria(
        context.definitions,
        type,
        tuple((name, _escaped(value)) for name, value in pairs),
        now=context.now(),
        base_url="",
        limits=Limits(full_text=context.policy.full_text),
    )
    page = await (context.rules or context.store).search(Query((type,), where, count=20))
    versions = [item for item in page.versions if item.body is not None]
    if not versions:
        return None
    return max(versions, key=lambda item: item.last_updated).body


def _escaped(text: str) -> str:
    for sign in "\\,$|":
        text = text.replace(sign, f"\\{sign}")
    return text
