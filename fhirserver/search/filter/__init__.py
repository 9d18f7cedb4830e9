"""The `_filter` parameter: its syntax, and what it means in the language of search.

https://hl7.org/fhir/R4/search_filter.html
"""
