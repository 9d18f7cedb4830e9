"""DICOM without I/O: headers as DICOM JSON, names, times, and what they mean in FHIR."""
