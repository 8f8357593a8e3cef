"""Submissions: predictions filled into the host's sample submission.

This package owns `submissions/` in a run directory: CSV files with the columns, the rows and the order of the sample
submission. Everything is joined by id; names of columns and labels are matched to the sample's spelling, and an
ambiguous name is refused. A file is checked before it is kept, and never repaired without a message. `grade` goes the
other way, from a submission to the predictions that a metric takes.
"""


class SubmissionError(ValueError):
    """A sample, submission or solution that does not fit; the message is one sentence for the user."""
