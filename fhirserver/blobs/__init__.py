"""Large objects by the digest of their bytes, in a folder or in object storage (docs/imaging-archive.md)."""
