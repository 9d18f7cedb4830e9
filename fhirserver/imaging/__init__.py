<<<<<<< HEAD
"""The edge of imaging: DIMSE, DICOMweb, and the projection of studies to ImagingStudies."""
=======
"""The imaging edges: DICOM's services and DICOMweb as requests to the gate, and back."""
>>>>>>> dimse
