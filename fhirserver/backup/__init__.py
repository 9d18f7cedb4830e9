"""A server's stores, blobs and keys as files to be kept elsewhere, and back."""
