"""Blends: rules from members to one prediction per row.

The registry is `blend_registry`; a fitted blend is numbers in JSON.
"""
