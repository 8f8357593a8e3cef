"""Pooling: a layer mix, then one token pool or several side by side.

`masked_pooling` sets padding to zero before anything else reads the states; `layer_mixes` and `token_pools` hold one
literal registry each. One contract suite tests every pair of them.
"""
