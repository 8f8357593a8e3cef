"""Members: one set of prediction columns each, joined by id from the files of fits or from external files.

Gaps, duplicates, NaN and foreign folds are rejected here, and files that do not look out of fold are reported.
"""
