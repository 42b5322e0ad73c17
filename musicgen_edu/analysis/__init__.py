"""What can be read off a pattern or a model.

pattern_likelihood  how well the best possible model can do under a pattern, exactly (lesson 05)
attention_maps      which column looks at what, in every layer and head (06)
"""
