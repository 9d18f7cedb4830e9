"""DICOM's message services (PS3.7) over associations (PS3.8), for peers that are data."""
