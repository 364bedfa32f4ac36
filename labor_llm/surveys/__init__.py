"""Readers of surveys: one module a survey, its files in, a career panel out."""
