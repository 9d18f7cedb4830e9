"""The text of a query, read: the operation that is meant, its fragments and variables.

https://spec.graphql.org/October2021/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fhirserver.errors import Invalid, NotSupported, TooCostly
from fhirserver.model.json import Json

if TYPE_CHECKING:
    from graphql.language import (
        ArgumentNode,
        DocumentNode,
        FragmentDefinitionNode,
        OperationDefinitionNode,
        SelectionSetNode,
        ValueNode,
    )

_LONGEST = 50_000  # characters
_TOKENS = 10_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A query to be run; `variables` have their defaults."""

    selections: SelectionSetNode
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Mapping[str, Json]

    def value(self, node: ValueNode) -> Json:
        """What a value means, its variables put in; None for a variable that was not given."""
        from graphql import Undefined, value_from_ast_untyped

        value = value_from_ast_untyped(node, dict(self.variables))
        return None if value is Undefined else value

    def arguments(self, nodes: Sequence[ArgumentNode]) -> dict[str, Json]:
        """The arguments that have a value."""
        values = {node.name.value: self.value(node.value) for node in nodes}
        return {name: value for name, value in values.items() if value is not None}


def read_query(text: str, name: str | None, variables: Mapping[str, Json]) -> Asked:
    """The query of a text, which may have several, of which `name` is meant.

    Raises `Invalid` for what is no GraphQL, `NotSupported` for a mutation, and `TooCostly`.
    """
    if len(text) > _LONGEST:
        raise TooCostly(f"A query has at most {_LONGEST} characters.")
    from graphql.language import FragmentDefinitionNode, OperationDefinitionNode, OperationType

    document = _parsed(text)
    operations = [
        node for node in document.definitions if isinstance(node, OperationDefinitionNode)
    ]
    fragments = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
    if len(operations) + len(fragments) != len(document.definitions):
        raise Invalid("A query has operations and fragments, and no other definitions.")
    operation = _meant(operations, name)
    if operation.operation is not OperationType.QUERY:
        raise NotSupported("Only queries are offered: write by the interactions of FHIR.")
    return Asked(
        operation.selection_set,
        {node.name.value: node for node in fragments},
        _variables(operation, variables),
    )


def _parsed(text: str) -> DocumentNode:
    from graphql import GraphQLSyntaxError
    from graphql.language import parse

    try:
        return parse(text, no_location=True, max_tokens=_TOKENS)
    except GraphQLSyntaxError as error:
        raise Invalid(f"The query is not GraphQL: {error.message}") from None
    except RecursionError:
        raise TooCostly("The query is nested too deeply.") from None


def _meant(
    operations: Sequence[OperationDefinitionNode], name: str | None
) -> OperationDefinitionNode:
    if name is not None:
        operations = [node for node in operations if node.name and node.name.value == name]
    if len(operations) != 1:
        raise Invalid(
            "Say in operationName which query is meant." if operations else "There is no query."
        )
    return operations[0]


def _variables(operation: OperationDefinitionNode, given: Mapping[str, Json]) -> Mapping[str, Json]:
    from graphql import value_from_ast_untyped
    from graphql.language import NonNullTypeNode

    out: dict[str, Json] = {}
    for definition in operation.variable_definitions or ():
        name = definition.variable.name.value
        if name in given:
            out[name] = given[name]
        elif definition.default_value is not None:
            out[name] = value_from_ast_untyped(definition.default_value)
        elif isinstance(definition.type, NonNullTypeNode):
            raise Invalid(f"Give the variable ${name}.")
    return out
