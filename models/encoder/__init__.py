"""Pretrained encoders: finding a backbone, loading it safely, and freezing its lower layers.

`backbone` finds and checks the files, `pretrained` loads the network, `frozen_layers` and `split_encoder` run the lower
layers once per text. Nothing here trains.
"""
