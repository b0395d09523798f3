"""What is printed: progress while a study runs, and the screen that it ends with."""
