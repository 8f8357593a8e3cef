"""The report of a run: one HTML file that needs nothing else, and each of its figures as SVG.

`verb` is the order of the steps. `sources` reads what the run holds; modules named after what they count give numbers
without any formatting (members, rungs, learning, reliability, rows, looks, division, shift, cost); figures and charts
draw them, and `page` puts them into words through the template. Nothing is trained, chosen or recomputed that another
verb has written, and torch is never imported. All text of the data is a stranger's: the template escapes it, SVG does,
and the page's own policy lets no script run but the page's.
"""
