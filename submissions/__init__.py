"""Submissions: predictions filled into the host's sample submission.

This package owns `submissions/` in a run directory: CSV files with the columns, the rows and the order of the sample
submission. Everything joins by id; names of columns and labels are matched to the sample's spelling, and ambiguity is
refused. A file is checked before it is kept, never repaired in silence. The way back, from a submission to the
predictions that a metric takes, is here too.
"""


class SubmissionError(ValueError):
    """A sample, submission or solution that does not fit; the message is one sentence for the user."""
