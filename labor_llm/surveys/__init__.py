"""Official survey files to career panels: sources, rules, conversion, report; `nls` and `psid` read the files."""
