"""Command lines and files of options, turned into designs of studies. Mistakes are one line and exit code 2."""
