"""$graphql: queries of GraphQL over resources, on one of them or on the system.

https://hl7.org/fhir/R4/graphql.html. The library `graphql-core` reads the query; what its
fields, arguments and directives mean is FHIR's, and is here.
"""
