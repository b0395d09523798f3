"""The model of a study, put to use: loaded, asked about images, exported. `python -m study.predict`, `study.export`."""
