"""Damaged files and odd words: what reads them gives what was written, or one line that says what is wrong."""
