"""Large objects by their digest, in a folder or in object storage (docs/imaging-archive.md)."""
