"""Scores of blends and the choice among them: in-sample and cross-fitted scores, bootstrap, and the rule of `auto`."""
