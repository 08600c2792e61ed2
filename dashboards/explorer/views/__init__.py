"""One file for each view of the Posterior Explorer: the request -> figure, sentence and alternative text."""
