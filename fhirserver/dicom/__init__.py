"""DICOM as data: headers, names, dates, matching, mapping. No I/O."""
