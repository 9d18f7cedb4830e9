"""The edge of imaging: DIMSE, DICOMweb, and the projection of studies to ImagingStudies."""
