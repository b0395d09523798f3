"""What is trained: architectures as ordered stages, and one training loop. Imports nothing of `study`."""

from trainables import unwanted

unwanted.leave_out()
