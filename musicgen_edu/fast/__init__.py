"""The model's step once more, quicker: it knows the model, and the model does not know it. Read it in this order:

int8           matrices of 8 bits, for a CPU that waits for its memory
matrices       a linear layer in the form that is fastest for the number of rows
step           one column through the decoder, in fewer operations
cuda_graph     a step that a GPU repeats from a recording
quick          all of them behind the model's own `start` and `step`
"""
