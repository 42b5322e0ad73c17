"""What the lessons explain, alone: it imports nothing of ours but `errors` and `files`. Read it in this order:

values         numbers and texts as people have them
shapes         the letters of the course, and the checker of the public borders
own_state      torch as the model computes in it, whatever a user has set
finite         numbers that are none any more, and where they come from
limits         what the fields of a configuration may hold
settings       what can be set: sizes, and how tokens are chosen (00)
audio          reading, writing, resampling, spectrograms (lesson 01)
pcm            one sample in few bits (01)
quantization   vector quantizer, residual vector quantizer (02, 03)
encodec        SEANet encoder and decoder, EnCodec (04)
patterns       interleaving: each pattern is one table of steps (05)
embedding      sum of codebook embeddings, sinusoidal positions (06)
decoder        attention with a cache, cross-attention, feed-forward (06)
lm             embeddings, decoder and heads as one model; its loss (06, 07)
text           prompts to states by a frozen T5 (07)
sampling       guidance, temperature, top-k, top-p (08)
generation     the generation loop (05, 08)
continuation   going on: from a recording, and beyond what the model sees at once (09, 10)
streaming      decoding codes as they come, to the same audio as decoding them whole (10)
"""
