"""A resource from its XML form.

https://hl7.org/fhir/R4/xml.html. The bytes are read once, by the events of the parser; no tree
is made. Elements may come in any order; comments and processing instructions are passed over.
What is well-formed but against FHIR's rules for values (a boolean `yes`, a name without parts)
is left to validation, as in JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from fhirserver.definitions.registry import Definitions
from fhirserver.errors import Invalid
from fhirserver.model.json import Json, Resource
from fhirserver.xml.narrative import DIV, Source
from fhirserver.xml.parser import (
    FHIR,
    MAX_DEPTH,
    SEPARATOR,
    WHITE_SPACE,
    XHTML,
    XSI,
    local_name,
    parser,
    refusal,
    run,
)
from fhirserver.xml.shape import RESOURCE, Member, Shape, shapes_of
from fhirserver.xml.tree import Builder, serialised

_SCHEMA: Final = f"{XSI}{SEPARATOR}"  # attributes that name a schema, which is not looked at


def from_xml(data: bytes, definitions: Definitions) -> Resource:
    """The resource of a document in UTF-8.

    Raises `Invalid`, with line, column and expression, for what is not well-formed, for a
    document type, for what is no element of FHIR and for too many levels.
    """
    return _Reader(data, definitions).read()


@dataclass(slots=True)
class _Frame:
    """An element that holds others, while it is read into `holder`.

    `member` tells what it is in the frame above, `depth` its levels in JSON. `loose` are the
    primitives that may lack a value or have fewer extras than values.
    """

    shape: Shape
    members: Mapping[str, Member]
    holder: Resource
    member: Member | None
    depth: int
    loose: set[str] = field(default_factory=set)


class _Reader:
    """`_leaf` is the primitive that is open and has had no children yet.

    `_extra` is its id and extensions; None where it has a value and nothing else.
    """

    def __init__(self, data: bytes, definitions: Definitions) -> None:
        self._data = data
        self._shapes = shapes_of(definitions)
        self._parser = parser()
        self._source = Source(self._parser, data)
        root = self._shapes.resources
        self._frame = _Frame(root, root.members, {}, None, 0)
        self._frames: list[_Frame] = []
        self._leaf: Member | None = None
        self._extra: Resource | None = None

    def read(self) -> Resource:
        self._listen()
        root = self._frame
        run(self._parser, self._data)
        found: Resource = root.holder[RESOURCE]
        return found

    def _listen(self) -> None:
        made = self._parser
        made.StartElementHandler = self._start
        made.EndElementHandler = self._end
        made.CharacterDataHandler = self._text
        made.CommentHandler = made.ProcessingInstructionHandler = None

    # --- events -----------------------------------------------------------------------------

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._leaf is not None:
            self._open(self._leaf, self._extra or {}, self._frame.depth + 2)
            self._leaf = None
        frame = self._frame
        member = frame.members.get(name)
        if member is None:
            raise self._unknown(name)
        if member.kind != "primitive":
            self._start_complex(frame, member, attributes)
            return
        text = attributes.get("value")
        self._extra = None
        if text is None or len(attributes) > 1:
            self._extra = {}
            self._attributes(self._extra, attributes, ("id", "value"))
            self._extra.pop("value", None)
        value: Json = text
        if text is not None and member.convert is not None:
            value = member.convert(text)
        if member.repeats or member.name in frame.holder:
            self._put(frame, member, value)
        else:
            frame.holder[member.name] = value
        self._leaf = member

    def _end(self, name: str) -> None:
        leaf = self._leaf
        if leaf is None:
            self._close()
            return
        self._leaf = None
        if self._extra is not None:
            self._attach(self._frame, leaf, self._extra)

    def _text(self, data: str) -> None:
        if data.strip(WHITE_SPACE):
            raise self._refusal("text is not allowed here: a value is the attribute 'value'.")

    # --- elements that hold others ----------------------------------------------------------

    def _start_complex(self, frame: _Frame, member: Member, attributes: dict[str, str]) -> None:
        content: Resource = {}
        allowed: tuple[str, ...] = ()
        depth = frame.depth + member.repeats
        match member.kind:
            case "narrative":
                self._start_div(member, attributes)
                return
            case "holder":
                self._open(member, content, depth, self._shapes.resources)
            case "resource":
                content["resourceType"] = member.path
                self._put(frame, member, content)
                self._open(member, content, depth + 1)
            case _:
                self._put(frame, member, content)
                self._open(member, content, depth + 1)
                allowed = self._frame.shape.attributes
        if attributes:
            self._attributes(content, attributes, allowed)

    def _open(
        self, member: Member, content: Resource, depth: int, shape: Shape | None = None
    ) -> None:
        if depth > MAX_DEPTH:
            raise self._refusal(f"elements are nested over {MAX_DEPTH} levels.")
        if shape is None:
            shape = self._shapes[member.path if member.kind != "primitive" else "Element"]
        self._frames.append(self._frame)
        self._frame = _Frame(shape, shape.members, content, member, depth)

    def _close(self) -> None:
        frame = self._frame
        for name in frame.loose:
            _settle(frame.holder, name)
        member = frame.member
        assert member is not None
        if member.kind == "holder" and RESOURCE not in frame.holder:
            raise self._refusal(f"'{member.name}' holds no resource.")
        self._frame = above = self._frames.pop()
        if member.kind == "primitive":
            self._attach(above, member, frame.holder)
        elif member.kind == "holder":
            self._put(above, member, frame.holder[RESOURCE])

    # --- what they hold ---------------------------------------------------------------------

    def _put(self, frame: _Frame, member: Member, value: Json) -> None:
        holder, name = frame.holder, member.name
        if member.repeats:
            if name in holder:
                holder[name].append(value)
            else:
                holder[name] = [value]
        elif name in holder:
            what = "a resource" if member.kind == "resource" else f"'{name}'"
            raise self._refusal(f"{what} can be given here only once.")
        else:
            holder[name] = value

    def _attach(self, frame: _Frame, member: Member, extra: Resource) -> None:
        """Puts id and extensions beside the value, the last one, of a primitive."""
        holder, name = frame.holder, member.name
        values = holder[name]
        if not extra:
            if (values[-1] if member.repeats else values) is None:
                raise self._refusal(f"'{name}' is empty: give it a value or an extension.")
            return
        frame.loose.add(name)
        if member.repeats:
            extras = holder.setdefault(member.extra, [])
            extras += [None] * (len(values) - 1 - len(extras))
            extras.append(extra)
        else:
            holder[member.extra] = extra

    def _attributes(
        self, content: Resource, attributes: dict[str, str], allowed: tuple[str, ...]
    ) -> None:
        for name, text in attributes.items():
            if name in allowed:
                content[name] = text
            elif not name.startswith(_SCHEMA):
                raise self._refusal(f"there is no attribute '{local_name(name)}' here.")

    # --- narratives -------------------------------------------------------------------------

    def _start_div(self, member: Member, attributes: dict[str, str]) -> None:
        made, start = self._parser, self._source.start()
        if start is None:
            self._rebuild_div(member, attributes)
            return

        def end() -> None:
            self._put(self._frame, member, self._source.cut(start))
            self._listen()

        made.StartElementHandler = made.EndElementHandler = made.CharacterDataHandler = None
        self._source.at_end(end)

    def _rebuild_div(self, member: Member, attributes: dict[str, str]) -> None:
        """Reads a div whose namespaces are declared outside as one that declares them itself."""
        made = self._parser
        self._source.declared = {}
        builder = Builder(made, self._source)

        def end(name: str) -> None:
            builder.end(name)
            if not builder.depth:
                assert builder.root is not None
                self._put(self._frame, member, serialised(builder.root))
                self._listen()

        made.StartElementHandler, made.EndElementHandler = builder.start, end
        builder.start(DIV, attributes)

    # --- refusals ---------------------------------------------------------------------------

    def _unknown(self, name: str) -> Invalid:
        namespace, _, _ = name.rpartition(SEPARATOR)
        local, shape = local_name(name), self._frame.shape
        if namespace != FHIR and local != "div":
            text = f"'{local}' is not in the namespace of FHIR: write xmlns=\"{FHIR}\"."
        elif shape is self._shapes.resources:
            text = f"'{local}' is not a resource type of FHIR R4."
        elif local in shape.attributes:
            text = f"'{local}' is an attribute here."
        elif local in shape.properties:
            text = f"'{local}' is in another namespace: write xmlns=\"{XHTML}\"."
        else:
            text = f"'{local}' is not an element of {shape.path}."
        return self._refusal(text)

    def _refusal(self, text: str) -> Invalid:
        return refusal(self._parser, text, self._expression())

    def _expression(self) -> str | None:
        """The FHIRPath of the element that is being read."""
        parts: list[str] = []
        for above, frame in pairwise([*self._frames, self._frame]):
            member = frame.member
            assert member is not None
            if member.kind != "resource":
                parts.append(_step(above, member, waits=member.kind == "holder"))
            elif not parts:
                parts.append(member.path)
        if self._leaf is not None:
            parts.append(_step(self._frame, self._leaf))
        return ".".join(parts) or None


def _step(frame: _Frame, member: Member, *, waits: bool = False) -> str:
    """A member as a step of FHIRPath; one that `waits` is not yet among its like."""
    if not member.repeats:
        return member.name
    count = len(frame.holder.get(member.name, ()))
    return f"{member.name}[{count if waits else count - 1}]"


def _settle(holder: Resource, name: str) -> None:
    """Makes the extras of a primitive as many as its values, and drops values that are none."""
    values = holder[name]
    if isinstance(values, list):
        extras = holder[f"_{name}"]
        extras += [None] * (len(values) - len(extras))
        if any(value is not None for value in values):
            return
    elif values is not None:
        return
    del holder[name]
