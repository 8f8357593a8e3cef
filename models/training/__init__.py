"""Training of one fit: `fit` is the whole of it, `loop` the epochs and the optimizer step.

`optimizer` sets learning rates, `resume` turns a training into a checkpoint and back, `frozen_cache` keeps what frozen
layers give, `speedups` does the same maths with less work.
"""
