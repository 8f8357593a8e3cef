"""One fit: what it is (`job`, `recipes`, `plan`), what it needs (`inputs`, `caches`), how long it takes
(`timing`), and what it leaves (`outputs`). `run_fit` does it, wherever it runs, and reports `events`.
"""
