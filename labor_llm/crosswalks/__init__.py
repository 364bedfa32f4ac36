"""From the surveys' occupation codes to occ1990dd, by David Dorn's crosswalks: fetched, verified, and never shipped.

No licence is stated for them; `load_crosswalks` gives the `Crosswalks` that map codes of a Census frame.
"""
