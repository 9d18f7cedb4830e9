"""A store as files of NDJSON, and such files as a store again.

`layout` says what the files hold, `write` makes them, `restore` reads them back with versions
and instants as they were. Without that, they are files that `fhirserver load` takes.
"""
