"""Large code systems, read from the files or packages in which they are published.

Each module makes a `Vocabulary`: the CodeSystem that stands for it, without concepts, and its
concepts one by one. None of these systems comes with the server.
"""
