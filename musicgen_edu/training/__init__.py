"""The parts that a user trains with, each once. Read it in this order:

settings       what trainings need to know: plain numbers, no torch
words          words dropped from captions (lesson 07, as all that follows up to `lm`)
text_to_codes  captions and a sequence in, logits out: what is trained
layout         a batch laid out under its pattern, and its loss
averaging      weights that follow the trained ones slowly
optimizers     AdamW and Muon, and which weights each of them trains
validation     what a model pays for music that it is not trained on
loop           the loop of every training; `runs` holds its rate, its state on disk and its progress
lm             training a language model
processes      several processes that train one model
clip_sources   where captioned clips come from
lm_data        their codes: computed once, kept on disk, given out in batches
lm_report      what a run says, and the file of its validation
run_folder     a run's folder, and that nobody goes on with another run in it
losses         a codec's reconstruction losses (lesson 04, as the rest)
discriminator  what tells recordings from reconstructions
balancer       a loss's weight as its share of the gradient
adversarial    a codec against a discriminator
codec          training a codec
"""
