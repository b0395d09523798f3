"""Pages that open without a network: of one study (`report.study`) and of a comparison (`report.comparison`).

A page is a list of sections; a section is a list of blocks (figures, tables, facts, images); a block names the template
that shows it. Both pages share the frame, the blocks, the styles and the scripts.
"""
