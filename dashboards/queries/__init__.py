"""Every query of pages and rules, one named function each, grouped by topic.

`requests` and their objectives, `stages` as callers and as replicas see them, `replicas`, `answers`
with the language model, `machines`. Only quantiles and counts of histograms are used: Ray computes
their sums from the middles of the buckets.
"""
