"""The competition's tables in memory: texts, targets, folds and the sample submission, read strictly and checked."""
