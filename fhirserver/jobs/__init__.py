"""Work that outlasts a request: a durable table of jobs, and who does them.

A job is a record of the store, so it survives every process. Of several workers one does it,
under a lease that it renews; after a crash another goes on from the last checkpoint.
"""
