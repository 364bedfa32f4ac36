"""Next-job scoring: the probability of a job title is that of its tokens, by the chain rule.

    log P(title | prompt) = sum_k log P(token_k | prompt, token_1 ... token_{k-1})

over the tokens of " title\\n" (paper, obtaining probabilities from the language model). `reference` states this in the
plainest way, and `trials` holds the others against it before any is used. `passes` scores titles that occurred,
one forward pass a career; `all_titles` scores every title, the prompt shared; `bounded` gives bounds on every title for
a part of the work. `careers` scores a panel and stores what is done, `last_records` the last record of each career.
"""
