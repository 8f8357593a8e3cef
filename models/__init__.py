"""Models: one fit is a plain function of texts, targets and a recipe to predictions and weights.

This package owns `models/` in a run directory: what a fit leaves there and how it is read back. It knows layer
mixes, token pools, backbones, batches, losses, the training loop and the linear floor. It knows no competition, no
fold file and no blend: rows, arrays and plain recipes come in, arrays go out.

`models`, `models.spec`, `models.store`, `models.store` and `models.tfidf` import no torch; everything else does.
"""


class ModelError(ValueError):
    """A backbone, recipe, text or saved fit that cannot be used; the message is one sentence for the user."""
