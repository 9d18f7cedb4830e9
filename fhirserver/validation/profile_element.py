"""What a profile says about each element, compiled against the base definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from fhirserver.definitions.element import (
    Child,
    Constraint,
    Discriminator,
    Element,
    TypeRef,
    element,
)
from fhirserver.definitions.structure import type_name
from fhirserver.model.json import Json, Resource
from fhirserver.validation.finding import (
    Check,
    Finding,
    Found,
    error,
    every,
    has_errors,
    shown,
    under,
)
from fhirserver.validation.invariant import invariants
from fhirserver.validation.member import Item, Member
from fhirserver.validation.pattern import has_pattern, in_words, is_fixed
from fhirserver.validation.scope import NOWHERE, Scope
from fhirserver.validation.slicing import ItemCheck, Slice, Slicing
from fhirserver.validation.target import aggregated, target_types, targets, versioned
from fhirserver.validation.tree import Node, Unusable

if TYPE_CHECKING:
    from fhirserver.validation.profile import Profiles

_BY_URL: Final = (Discriminator("value", "url"),)
_BY_TYPE: Final = (Discriminator("type", "$this"),)


class Compiler:
    """Compiles one profile."""

    def __init__(self, profiles: Profiles, definition: Resource) -> None:
        self._profiles = profiles
        self._definitions = profiles.definitions
        self._type = type_name(str(definition["type"]))
        self._by = f"Profile {definition.get('name') or definition['url']}"

    def root(self, node: Node) -> Check:
        """The check of a whole value. Raises `Unusable`."""
        stated = element(node.definition) if node.definition else None
        rules: list[Check | None] = [self._type_rule()]
        if stated is not None:
            known = {item.key for item in self._definitions.constraints(self._type)}
            rules.append(self._invariants(stated.constraints, known, self._type))
            rules += self._values(stated)
        rules.append(self._object(node, self._type))
        return every(*rules)

    def _type_rule(self) -> Check | None:
        type, by, definitions = self._type, self._by, self._definitions
        header = definitions.types.get(type)
        if header is not None and header.kind != "resource":
            return None  # the element that holds a value tells its type

        def check(value: Any, scope: Scope = NOWHERE) -> Found:
            given = value.get("resourceType") if isinstance(value, dict) else None
            if given is None or definitions.is_subtype(given, type):
                return None
            return [error("structure", f"{by} is for a {type}, not for a {given}.")]

        return check

    def _object(self, node: Node, path: str) -> Check | None:
        """The check of an object's elements; None if the profile adds nothing."""
        base = self._definitions.children(path)
        choices = self._definitions.choices(path)
        made: list[Callable[[Any, Scope], list[Finding] | None]] = []
        for name, child in node.children.items():
            stem = name.removesuffix("[x]")
            names = (name,) if name in base else choices.get(stem, ())
            if not names:
                if stem in ("value", "id", "extension"):
                    continue  # the value of a primitive
                raise Unusable(f"'{path}' has no element '{name}'.")
            member = self._member(child, {one: base[one] for one in names})
            if member is not None:
                made.append(member)
        if not made:
            return None

        def check(value: Any, scope: Scope = NOWHERE) -> Found:
            if not isinstance(value, dict):
                return None
            found: list[Finding] = []
            for member in made:
                bad = member(value, scope)
                if bad:
                    found += bad
            return found or None

        return check

    # --- one element ------------------------------------------------------------------------

    def _member(
        self, node: Node, base: Mapping[str, Child]
    ) -> Callable[[Any, Scope], list[Finding] | None] | None:
        known = next(iter(base.values())).element
        stated = element(node.definition) if node.definition else None
        least = stated.min if stated is not None and stated.min > known.min else 0
        most = self._most(stated, known)
        check = self._item(node, stated, base)
        slicing = self._slicing(node, stated, base)
        if not least and most is None and check is None and slicing is None:
            return None
        member, by, name = Member(base), self._by, known.name
        may_lack = not least and (slicing is None or not slicing.check((), NOWHERE))

        def run(value: Any, scope: Scope) -> list[Finding] | None:
            items = member.items(value)
            if not items and may_lack:
                return None
            found: list[Finding] = []
            count = len(items)
            if count < least:
                text = f"{by}: '{name}' is there {least} times or more, found {count}."
                found.append(error("required", text))
            if most is not None and count > most:
                text = f"{by}: '{name}' is there {most} times at most, found {count}."
                found.append(error("structure", text, items[most].place))
            if check is not None:
                for item in items:
                    bad = check(item, scope)
                    if bad:
                        found += under(item.place, bad)
            if slicing is not None:
                found += slicing.check(items, scope)
            return found

        return run

    @staticmethod
    def _most(stated: Element | None, known: Element) -> int | None:
        if stated is None or stated.max is None:
            return None
        return stated.max if known.max is None or stated.max < known.max else None

    def _item(
        self, node: Node, stated: Element | None, base: Mapping[str, Child]
    ) -> ItemCheck | None:
        """What must hold of each value, by its type; None if nothing more."""
        checks = {name: self._typed(node, stated, child) for name, child in base.items()}
        if all(check is None for check in checks.values()):
            return None
        by_type = {child.type: checks[name] for name, child in base.items()}

        def run(item: Item, scope: Scope) -> list[Finding]:
            check = by_type[item.child.type]
            return check(item, scope) if check is not None else []

        return run

    def _typed(self, node: Node, stated: Element | None, child: Child) -> ItemCheck | None:
        known = child.element
        by = self._by
        on_value: list[Check | None] = []
        if stated is not None:
            types = [type for type in stated.types if type.code == child.type]
            if not types and stated.types and known.choice:
                wanted = ", ".join(type.code for type in stated.types)
                text = f"{by}: expected a value of type {wanted}, found {child.type}."
                return lambda item, scope: [error("structure", text)]
            on_value += self._values(stated)
            on_value += self._codes(stated, known, child.type)
            on_value += self._of_types(types, known, child)
            if child.path == child.type:
                keys = {item.key for item in self._definitions.constraints(child.type)}
                keys |= {item.key for item in known.constraints}
                on_value.append(self._invariants(stated.constraints, keys, child.type))
            else:
                owner = self._definitions.structure(child.path.partition(".")[0])
                original = owner.elements.get(child.path) if owner else None
                keys = {item.key for item in self._definitions.constraints("BackboneElement")}
                keys |= {item.key for item in original.constraints} if original else set()
                on_value.append(self._invariants(stated.constraints, keys, child.path))
        is_primitive = not self._definitions.children(child.path) and child.type != "Resource"
        inside = None
        if node.children and child.type != "Resource":
            inside = self._object(node, "Element" if is_primitive else child.path)
        return _item_check([check for check in on_value if check is not None], inside)

    def _values(self, stated: Element) -> list[Check | None]:
        return [
            _wanted(is_fixed, stated.fixed, f"{self._by}: expected exactly"),
            _wanted(has_pattern, stated.pattern, f"{self._by}: expected a value with"),
            _length(stated.max_length, self._by),
            _bounds(stated, self._by),
        ]

    def _codes(self, stated: Element, known: Element, type: str) -> list[Check | None]:
        binding, base = stated.binding, known.binding
        if binding is None:
            return []
        same = base is not None and (binding.strength, binding.value_set.partition("|")[0]) == (
            base.strength,
            base.value_set.partition("|")[0],
        )
        bindings = self._profiles.bindings
        found = [None if same else bindings.check(binding, type)]
        if base is None or binding.max_value_set != base.max_value_set:
            found.append(bindings.widest(binding, type))
        return found

    def _of_types(self, types: list[TypeRef], known: Element, child: Child) -> list[Check | None]:
        before = [type for type in known.types if type.code == child.type]
        rules: list[Check | None] = []
        profiles = tuple(url for type in types for url in type.profiles)
        if profiles and profiles != tuple(url for type in before for url in type.profiles):
            rules.append(self._one_of(profiles))
        wanted = tuple(url for type in types for url in type.target_profiles)
        if wanted and wanted != tuple(url for type in before for url in type.target_profiles):
            narrowed = target_types(wanted, self._definitions)
            if narrowed and child.type == "Reference":
                rules.append(targets(narrowed))
                rules.append(self._target_of(wanted))
        if types and child.type == "Reference":
            rules += self._ways(types)
        return rules

    @staticmethod
    def _ways(types: list[TypeRef]) -> list[Check | None]:
        """How a reference leads to its target, where all types agree."""
        rules: list[Check | None] = []
        if all(type.aggregation for type in types):
            rules.append(aggregated(frozenset(way for type in types for way in type.aggregation)))
        versionings = {type.versioning for type in types}
        if len(versionings) == 1 and "either" not in versionings:
            rules.append(versioned(versionings.pop()))
        return rules

    def _one_of(self, urls: tuple[str, ...]) -> Check:
        profiles = self._profiles

        def check(value: Any, scope: Scope = NOWHERE) -> Found:
            best: Found = None
            for url in urls:
                known = profiles.check(url)
                if known is None:
                    return None  # base rules tell of unknown extensions
                found = known(value, scope)
                if not has_errors(found):
                    return found
                best = best or found
            return best

        return check

    def _target_of(self, urls: tuple[str, ...]) -> Check | None:
        """What a reference leads to conforms to one of some profiles, where it can be reached."""
        profiled = [url for url in urls if self._is_profile(url)]
        by = self._by

        def check(value: Any, scope: Scope = NOWHERE) -> Found:
            reference = value.get("reference")
            target = scope.target(reference) if isinstance(reference, str) else None
            if target is None or scope.conforms is None:
                return None
            answers = [scope.conforms(target, url) for url in urls]
            if True in answers or None in answers:
                return None
            return [error("structure", f"{by}: the target conforms to none of {', '.join(urls)}.")]

        return check if profiled else None

    def _is_profile(self, url: str) -> bool:
        found = self._definitions.structure(url)
        return found is None or found.is_profile

    def _invariants(
        self, stated: tuple[Constraint, ...], known: set[str], path: str
    ) -> Check | None:
        return invariants((item for item in stated if item.key not in known), path)

    # --- slices -----------------------------------------------------------------------------

    def _slicing(
        self, node: Node, stated: Element | None, base: Mapping[str, Child]
    ) -> Slicing | None:
        if not node.slices:
            return None
        known = next(iter(base.values())).element
        rules = stated.slicing if stated is not None else None
        discriminators = rules.discriminators if rules is not None else ()
        if not discriminators:
            is_extension = any(child.type == "Extension" for child in base.values())
            discriminators = _BY_TYPE if known.choice else _BY_URL if is_extension else ()
        made: list[Slice] = []
        for name, part in node.slices.items():
            match = self._profiles.discriminators.match(part, discriminators)
            if match is None:
                continue  # nothing tells this slice from the others
            own = element(part.definition) if part.definition else None
            made.append(
                Slice(
                    name,
                    match,
                    own.min if own is not None else 0,
                    own.max if own is not None else None,
                    self._item(part, own, base),
                    self._slicing(part, own, base),
                )
            )
        if not made:
            return None
        ordered = rules.ordered if rules is not None else False
        return Slicing(
            known.name, self._by, rules.rules if rules is not None else "open", ordered, tuple(made)
        )


def _item_check(on_value: list[Check], inside: Check | None) -> ItemCheck | None:
    if not on_value and inside is None:
        return None

    def run(item: Item, scope: Scope) -> list[Finding]:
        found: list[Finding] = []
        if item.value is not None:
            for check in on_value:
                bad = check(item.value, scope)
                if bad is not None:
                    found += bad
        if inside is not None:
            bad = inside(item.content if item.content is not None else {}, scope)
            if bad is not None:
                found += bad
        return found

    return run


def _wanted(test: Callable[[Json, Json], bool], wanted: Json, text: str) -> Check | None:
    if wanted is None:
        return None
    plain = wanted if isinstance(wanted, str) else None

    def check(value: Json, scope: Scope = NOWHERE) -> Found:
        if (plain is not None and value == plain) or test(value, wanted):
            return None
        return [error("value", f"{text} {in_words(wanted)}, found {in_words(value)}.")]

    return check


def _length(longest: int | None, by: str) -> Check | None:
    if longest is None:
        return None

    def check(value: Json, scope: Scope = NOWHERE) -> Found:
        if not isinstance(value, str) or len(value) <= longest:
            return None
        return [error("too-long", f"{by}: expected at most {longest} characters.")]

    return check


def _bounds(stated: Element, by: str) -> Check | None:
    low, high = stated.min_value, stated.max_value
    if low is None and high is None:
        return None

    def check(value: Any, scope: Scope = NOWHERE) -> Found:
        for bound, wrong, word in ((low, -1, "least"), (high, 1, "most")):
            if bound is None or isinstance(bound, dict) or type(bound) is bool:
                continue
            try:
                order = (value > bound) - (value < bound)
            except TypeError:
                continue
            if order == wrong:
                return [error("value", f"{by}: expected at {word} {bound}, found {shown(value)}.")]
        return None

    return check
