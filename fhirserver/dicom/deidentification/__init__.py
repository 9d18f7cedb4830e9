"""De-identification of data sets: the Basic Application Level Confidentiality Profile of PS3.15.

Annex E, with its options. The table of attributes is data (terminology/dicom); `profile` tells
what to do with an attribute, `data_set` does it, `pseudonyms` keep what belongs together
together. Pure: data sets of pydicom in, the same changed.
"""
