"""The report of a run: one HTML file that needs nothing else, and each of its figures as SVG.

`report_inputs` reads what the run holds. Each section is a module that computes its numbers (`compute_...`) and draws
its figures (`draw_...`); `html_page` puts them into words through `template.html.j2`. Nothing is trained, chosen or
recomputed that another verb has written, and torch is never imported. All text of the data is untrusted: the template
escapes it, SVG does, and the content policy of the page lets no other script run than the page's own.
"""
