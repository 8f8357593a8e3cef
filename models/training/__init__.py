"""Training of one fit: `fit` does all of it, `loop` the epochs and optimizer steps, which call `hooks`.

`optimizer` sets learning rates, `resume` turns the state of a training into a checkpoint and back, `frozen_cache` keeps
the output of frozen layers, `speedups` does the same maths with less work.
"""
