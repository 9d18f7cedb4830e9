"""DICOM as data: data sets to DICOM JSON (PS3.18 F), character sets, Part 10 files. No I/O."""
