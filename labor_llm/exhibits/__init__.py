"""What the book shows: tables, figures and numbers, each named in one catalogue.

`tables` and `figures` turn tidy results into display frames and matplotlib figures, `publishing`
writes them to files and shows them in Jupyter and in the book, and `labor_llm.disclosure` refuses any row that
rests on too few persons.
"""
