"""Orders in FHIR as entries of a Modality Worklist (PS3.4 annex K), and back. No I/O.

After HL7's guide on imaging orders (ConceptMap mwl-entry-from-fhir), with R4's elements where
that guide has R5's. An entry is a data set in DICOM JSON.
"""
