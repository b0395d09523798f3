"""One module per architecture, each declaring ARCHITECTURE; a new file here is a new choice of --model."""
