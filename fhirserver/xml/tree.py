"""A document as nodes, for what works on XML as XML: patches, and narratives out of context.

Names are `namespace|local`, so that prefixes mean nothing; `serialised` writes each namespace
as the default one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, assert_never
from xml.parsers import expat

from fhirserver.xml.escape import content, value
from fhirserver.xml.narrative import DIV, Source
from fhirserver.xml.parser import MAX_DEPTH, SEPARATOR, XML, parser, refusal, run

_PREFIX = "ns-"  # of attributes whose own prefix is not known any more


@dataclass(slots=True, eq=False)
class Text:
    """Characters."""

    text: str
    parent: Element | None = None


@dataclass(slots=True, eq=False)
class Comment:
    """A comment."""

    text: str
    parent: Element | None = None


@dataclass(slots=True, eq=False)
class Instruction:
    """A processing instruction."""

    target: str
    text: str
    parent: Element | None = None


@dataclass(slots=True, eq=False)
class Element:
    """`prefixes` are the namespaces declared here; that of '' is the default one.

    `verbatim` is a narrative's div as it was written, as long as nothing in it has changed.
    """

    name: str
    attributes: dict[str, str]
    prefixes: dict[str, str]
    children: list[Node] = field(default_factory=list)
    parent: Element | None = None
    verbatim: str | None = None

    def insert(self, index: int, nodes: Sequence[Node]) -> None:
        """Puts nodes among the children; texts that come to stand together become one."""
        for node in nodes:
            node.parent = self
        self.children[index:index] = nodes
        self.changed()

    def remove(self, node: Node) -> None:
        """Takes a child out."""
        self.children.remove(node)
        node.parent = None
        self.changed()

    def changed(self) -> None:
        """Notes that something in the element is not as it was written."""
        joined: list[Node] = []
        for node in self.children:
            last = joined[-1] if joined else None
            if isinstance(node, Text) and isinstance(last, Text):
                last.text += node.text
            else:
                joined.append(node)
        self.children = joined
        self.verbatim = None
        for holder in ancestors(self):
            holder.verbatim = None


Node: TypeAlias = Element | Text | Comment | Instruction


def ancestors(node: Node) -> Iterator[Element]:
    """The elements that a node is in, the nearest first."""
    holder = node.parent
    while holder is not None:
        yield holder
        holder = holder.parent


def height(node: Node) -> int:
    """Levels of elements from a node down."""
    if not isinstance(node, Element):
        return 0
    return 1 + max(map(height, node.children), default=0)


class Builder:
    """Makes the tree of what a parser reads from now on; `root` is there at its end."""

    def __init__(self, made: expat.XMLParserType, source: Source) -> None:
        self._parser = made
        self._source = source
        self._open: list[Element] = []
        self._div: int | None = None
        self._div_depth = 0
        self.root: Element | None = None
        made.CharacterDataHandler = self._text
        made.CommentHandler = self._comment
        made.ProcessingInstructionHandler = self._instruction

    @property
    def depth(self) -> int:
        """How many elements are open."""
        return len(self._open)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """A start tag."""
        if len(self._open) >= MAX_DEPTH:
            raise refusal(self._parser, f"Elements are nested over {MAX_DEPTH} levels.")
        element = Element(name, attributes, self._source.declared)
        self._source.declared = {}
        if name == DIV and self._div is None:
            self._div, self._div_depth = self._source.start(), len(self._open)
        if self._open:
            self._put(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, name: str) -> None:
        """An end tag."""
        element = self._open.pop()
        if self._div is not None and len(self._open) == self._div_depth:
            element.verbatim = self._source.cut(self._div)
            self._div = None

    def _text(self, data: str) -> None:
        last = self._open[-1].children[-1:]
        if last and isinstance(last[0], Text):
            last[0].text += data
        else:
            self._put(Text(data))

    def _comment(self, data: str) -> None:
        if self._open:
            self._put(Comment(data))

    def _instruction(self, target: str, data: str) -> None:
        if self._open:
            self._put(Instruction(target, data))

    def _put(self, node: Node) -> None:
        holder = self._open[-1]
        node.parent = holder
        holder.children.append(node)


def parse(data: bytes) -> Element:
    """The root of a document. Raises `Invalid` for what is not well-formed."""
    made = parser()
    builder = Builder(made, Source(made, data))
    made.StartElementHandler = builder.start
    made.EndElementHandler = builder.end
    run(made, data)
    assert builder.root is not None
    return builder.root


def serialised(element: Element, default: str = "") -> str:
    """The element as XML, in a place where `default` is the default namespace."""
    out: list[str] = []
    _write(out, element, default)
    return "".join(out)


def _write(out: list[str], node: Node, default: str) -> None:
    match node:
        case Text(text):
            out.append(content(text))
        case Comment(text):
            out.append(f"<!--{text}-->")
        case Instruction(target, text):
            out.append(f"<?{target} {text}?>")
        case Element():
            if node.verbatim is not None:
                out.append(node.verbatim)
                return
            namespace, _, local = node.name.rpartition(SEPARATOR)
            out.append(_start_tag(node, namespace, local, default))
            if node.children:
                for child in node.children:
                    _write(out, child, namespace)
                out.append(f"</{local}>")
            else:
                out[-1] = f"{out[-1][:-1]}/>"
        case _:
            assert_never(node)


def _start_tag(element: Element, namespace: str, local: str, default: str) -> str:
    tag = f"<{local}"
    if namespace != default:
        tag += f' xmlns="{value(namespace)}"'
    prefixes = {uri: prefix for prefix, uri in element.prefixes.items() if prefix}
    declared = "".join(f' xmlns:{prefix}="{value(uri)}"' for uri, prefix in prefixes.items())
    attributes = ""
    for name, text in element.attributes.items():
        uri, _, bare = name.rpartition(SEPARATOR)
        if uri == XML:
            bare = f"xml:{bare}"
        elif uri:
            if uri not in prefixes:
                prefixes[uri] = f"{_PREFIX}{len(prefixes)}"
                declared += f' xmlns:{prefixes[uri]}="{value(uri)}"'
            bare = f"{prefixes[uri]}:{bare}"
        attributes += f' {bare}="{value(text)}"'
    return f"{tag}{declared}{attributes}>"


def copied(node: Node) -> Node:
    """The same again, to stand elsewhere."""
    if not isinstance(node, Element):
        return replace(node, parent=None)
    out = replace(node, attributes=dict(node.attributes), prefixes=dict(node.prefixes), children=[])
    out.parent = None
    for child in node.children:
        made = copied(child)
        made.parent = out
        out.children.append(made)
    return out
