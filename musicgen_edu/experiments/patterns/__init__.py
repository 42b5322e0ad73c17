"""The interleaving patterns trained on equal terms. Read it in this order:

synthetic_codes   codes of which the best possible loss is known for every pattern
training          one model under one pattern
units             the runs, each done once and kept
comparison        what they found, over the seeds
report            as tables
"""
