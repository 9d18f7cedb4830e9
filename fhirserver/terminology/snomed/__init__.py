"""SNOMED CT: its implicit value sets and the expression constraint language."""
