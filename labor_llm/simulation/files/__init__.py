"""Simulated workers written as the files in which the surveys are given out."""
