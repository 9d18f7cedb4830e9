"""What a store is indexed by: the standard's search parameters and those that were added.

docs/adr/0027-custom-search-parameters.md.
"""
