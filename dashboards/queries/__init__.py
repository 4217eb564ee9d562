"""Every query of pages and rules, one named function each, by what it is about.

`requests` and their promises, `stages` as callers and as replicas see them, `replicas`, `answers`
with the language model, `machines`. Means of histograms would need their sums, which Ray makes up:
here are quantiles and counts only.
"""
