"""The authorization server of a tenant (SMART App Launch 2.2, OAuth 2.0, OpenID Connect).

https://hl7.org/fhir/smart-app-launch/STU2.2/.
"""
