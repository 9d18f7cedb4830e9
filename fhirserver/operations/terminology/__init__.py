"""The operations of a terminology service.

https://hl7.org/fhir/R4/terminology-service.html. What they decide is in
`fhirserver.terminology`; here parameters are read and answers written.
"""
