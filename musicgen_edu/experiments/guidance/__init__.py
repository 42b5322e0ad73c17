"""What guidance does to the shipped model. Read it in this order:

report     the settings, the bench that generates and judges, and the jobs of a run
measures   what is measured, each figure with its interval
table      the page
"""
