"""Evaluation: every kind of model is judged by the same functions of its predictions.

One rule for zeros: a probability of zero on what happened is shown as what it is. Perplexity is infinite, its
standard error and the logarithmic measures beside it are NaN; nothing is clipped and no transition is left out. What
cannot be computed for one group (one outcome only, one worker, fewer than eleven persons) is NaN with the reason in
the row, and the rest of the table stands. What cannot be compared (other transitions, other occupations, probabilities
that are no numbers) is an error.

In all of them `draws` is the number of bootstrap samples of workers, and `seed` that of the samples and of what else is
drawn.
"""
