"""From the surveys' occupation codes to occ1990dd, by David Dorn's crosswalks.

The crosswalks are fetched (`fetch_crosswalks`) or taken from a folder of the user's, never shipped, as no licence
is stated; their content is compared with a checksum. `load_crosswalks` gives the `Crosswalks` that map codes of a
Census frame. Where Dorn has no row, `patch.csv` may have one, with reason and source.
"""
