"""The sections of a page about several studies: a file each, a function from the comparison to a section."""
