"""Running the rows of a comparison."""
