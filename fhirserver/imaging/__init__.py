"""The imaging edges: DICOM's services and DICOMweb as requests to the gate, and back."""
