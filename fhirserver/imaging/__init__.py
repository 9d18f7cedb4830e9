"""The imaging edge: DICOM over its own protocol and over HTTP, as requests to the gate."""
