"""Files of resources into a server or a store, so that a killed load can go on.

Everything is sent as transactions and batches in which what a file wants to have created is
put under an id that follows from the file's content: sent twice, it changes nothing. A
journal of what was loaded only spares the work.
"""
