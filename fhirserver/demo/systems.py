"""Code systems and identifier systems of the demonstration data.

ICD-10-CM, ICD-10-PCS and CVX are in the public domain; RxNorm is used from its free part.
This material contains content from LOINC (http://loinc.org). LOINC is copyright Regenstrief
Institute, Inc. and the LOINC Committee and is available at no cost under the license at
http://loinc.org/license. UCUM is copyright Regenstrief Institute, Inc.
"""

from __future__ import annotations

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
ICD10PCS = "http://www.cms.gov/Medicare/Coding/ICD10"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
CVX = "http://hl7.org/fhir/sid/cvx"
BCP47 = "urn:ietf:bcp:47"

HL7 = "http://terminology.hl7.org/CodeSystem/"
TASK_CODE = "http://hl7.org/fhir/CodeSystem/task-code"

DEMO = "https://demo.example.org/fhir/"
MRN = DEMO + "identifier/mrn"
MEMBER_NUMBER = DEMO + "identifier/member"
ACCESSION = DEMO + "identifier/accession"
STAFF_NUMBER = DEMO + "identifier/staff"
INVOICE_NUMBER = DEMO + "identifier/invoice"
VISIT_NUMBER = DEMO + "identifier/visit"
VISIT_TYPE = DEMO + "CodeSystem/visit-type"
PRICE_LIST = DEMO + "CodeSystem/price-list"
NURSING_TASK = DEMO + "CodeSystem/nursing-task"
