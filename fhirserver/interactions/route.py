"""From a method and a URL to an interaction: for HTTP requests and bundle entries alike.

https://hl7.org/fhir/R4/http.html
"""
