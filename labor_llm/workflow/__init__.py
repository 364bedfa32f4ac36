"""A replication from end to end: profile, data sets, runs of notebooks, their parameters, and the book."""
