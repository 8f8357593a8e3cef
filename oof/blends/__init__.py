"""Blends: rules from members to one prediction per row.

`blend_registry` lists them; a fitted blend is numbers in JSON.
"""
