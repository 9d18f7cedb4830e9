"""The index of DICOM studies, series and instances: a port and the stores that have it."""
