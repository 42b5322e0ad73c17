"""How good is it: measures of sound, and probes that check captions."""
