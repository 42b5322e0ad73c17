"""The page of `musicgen-edu app`. Read it in this order:

request        what may be asked for, and its limits; no torch
texts          what is said, in English and Chinese
waiting_line   who may work, and who waits at which place
translation    Chinese prompts to English
recording      a visitor's sound to go on from
service        all of it together, without a page: a request to news
layout         the components of the page and their words
page           what happens when one is used
serve          the server
"""
