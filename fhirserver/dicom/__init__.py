"""DICOM as data: data sets to DICOM JSON (PS3.18 F), files, character sets, matching. No I/O."""
