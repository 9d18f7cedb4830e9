"""What the gate does with DICOM instances: the rows of `table`, a module each."""
