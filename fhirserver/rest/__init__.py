"""FHIR over HTTP: translates between ASGI and `interactions`, and decides nothing else.

https://hl7.org/fhir/R4/http.html. `application.FhirApplication` is the way in.
"""
