"""Members: one set of prediction columns each, joined by id from the files of fits or from somebody else's files.

Gaps, duplicates, NaN and foreign folds are refused here, and files that do not look out of fold are found.
"""
