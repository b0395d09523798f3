"""The sections of a page about one study: a file each, a function from the record to a section."""
