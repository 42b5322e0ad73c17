"""Panels for lessons. Each is a folder: `state` (what is chosen and what follows), `drawing` (SVG and HTML), `panel`.

panel               what all panels share: a state in a frame of controls, the answer to a move, work in a thread
page                words, errors and still pictures as HTML
spectrogram         spectrograms that are made once, so that a move only chooses among them
generator           a prompt turned into sound (lesson 00)
bit_depth           a clip with fewer bits a sample and fewer samples a second (01)
vq_plane            k-means in the plane, centroids moved by hand (02)
rvq_listener        a codec with fewer and more codebooks (03)
codec_inspector     codes muted, swapped or shuffled, and heard (04)
pattern_explorer    interleaving patterns, step by step (05)
attention_explorer  what a head looks at (06)
sampling_desk       how a token is drawn (08)
stream_player       music that plays while it is being made (10)
"""
