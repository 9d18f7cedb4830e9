"""Operations, one file for each: rows of the gate beside the interactions.

https://hl7.org/fhir/R4/operations.html. `table.OPERATIONS` is what `app` hands to the gate.
Their parameters are read and checked by their OperationDefinitions (`arguments`).
"""
