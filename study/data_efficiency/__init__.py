"""How much data a finished study's winner needs: accuracy by training images per class, and by freeze depth."""
