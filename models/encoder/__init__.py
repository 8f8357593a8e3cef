"""Pretrained encoders: find a backbone, load it safely, and freeze its lower layers.

`backbone` finds and checks the files, `pretrained` loads the network, `frozen_layers` and `split_encoder` run the lower
layers once per text. Nothing here trains.
"""
