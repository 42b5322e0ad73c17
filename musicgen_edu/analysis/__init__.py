"""What can be read off a model or a pattern: attention maps, exact likelihoods."""
