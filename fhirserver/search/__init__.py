"""Search: what resources can be found by, what queries mean, and how one matches the other.

https://hl7.org/fhir/R4/search.html. `index` gives a resource's entries, `compile` a query's
meaning in the closed language of `expression`, `match` the reference meaning of that.
"""
