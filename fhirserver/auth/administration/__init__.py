"""Administration over HTTP, in JSON: typed routes below `/auth/admin`."""
