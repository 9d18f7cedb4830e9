"""What the gate does with DICOM instances. `table` has the rows."""
