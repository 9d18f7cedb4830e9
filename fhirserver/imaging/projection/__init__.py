"""Studies of the archive as ImagingStudies: found in FHIR within a second of their last instance.

`projector` takes changed studies from the archive, `study` makes one ImagingStudy, with its
Patient (`patients`) and orders (`orders`), `following` takes up what FHIR's side changes. All is
written through the gate (docs/imaging.md, docs/adr/0069-projection.md).
"""
