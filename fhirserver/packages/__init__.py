"""Packages of definitions (implementation guides): read safely, installed as resources.

https://confluence.hl7.org/display/FHIR/NPM+Package+Specification. What a package defines becomes
ordinary resources, written in one transaction with a Library that lists them.
"""
