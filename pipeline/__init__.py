"""Pipeline: the order of the steps, and no file format but the config's and the competition's tables.

One module per verb calls the leaf packages `folds`, `models`, `oof` and `submissions`, hands arrays, ids and plain
values from one to the other, and writes every file whole or not at all. Only functions that train or predict import
torch.
"""
