"""What is studied and how it is judged."""
