"""What DICOM headers mean in FHIR R4: ImagingStudy, Patient, Endpoint, identifiers.

Pure: DICOM JSON (PS3.18 Annex F) in, JSON values of R4 out. Whatever a header says, what comes
out is valid R4; what R4 has no room for is left out. `facts` puts the instances of a study
together, `imaging_study`, `patient` and `endpoint` make the resources, `issuers` names the
systems of identifiers. docs/imaging.md has the table.
"""
