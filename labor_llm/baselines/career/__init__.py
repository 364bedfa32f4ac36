"""CAREER (Vafa et al. 2024): a transformer over careers with a two-stage head, and its transfer between populations.

References: K. Vafa, E. Palikot, T. Du, A. Kanodia, S. Athey and D. Blei (2024), "CAREER: A Foundation Model for
Labor Sequence Data", Transactions on Machine Learning Research; their code, keyonvafa/career-code.
"""
