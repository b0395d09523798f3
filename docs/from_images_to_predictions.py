# %% [markdown]
# # From a folder of images to predictions for new ones
#
# What it needs: a folder `photos` with a folder for each class, and a folder `new` of images that nobody has sorted.
# As a script, `python docs/from_images_to_predictions.py`; in Jupyter or VS Code the parts between `# %%` are cells.
# docs/model.md says more about each step.

# %% A study: how good can a model of these classes be?
import json
import subprocess
import sys

from study import load_best, run

result = run(
    "resnet",
    dataset="photos",
    name="photos",
    trials=2,  # 32 for a result to rely on
    epochs=2,
    seeds=2,
    top_k=1,
    keep_models=True,  # of every test run, for the ensemble below
    wandb="disabled",
    quiet=True,
)
print(f"accuracy on images it never saw: {result.accuracy:.1%}, 95 % interval {result.interval}")

# %% Its model, asked about images here: paths, bytes, Pillow's images or arrays
from pathlib import Path  # noqa: E402

best = load_best(result.folder)
new = sorted(Path("new").iterdir())
for path, said in zip(new, best.predict(new), strict=True):
    print(f"{path.name}: {said.predicted} ({said.confidence:.0%})")

# %% The models of all test runs together
ensemble = load_best(result.folder, seeds="all")
print([said.predicted for said in ensemble.predict(new)])


# %% For a million images, from the shell: `python -m study.predict results/photos new --output new.csv`; `--seeds all`
# asks all models, and says where they disagree
def study(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "study", *map(str, words)], check=True)


study("predict", result.folder, "new", "--output", "new.csv")

# %% The model as timm, and the hub, have it: `hf upload YOU/photos results/photos/best` makes its page
import timm  # noqa: E402

import trainables.timm_models  # noqa: E402, F401  (mini models and AlexNet alone need it)

model = timm.create_model(f"local-dir:{result.folder / 'best'}", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_data_config(model=model))
print(type(model).__name__, transform)

# %% And as a file for other runtimes, which is tried before it is written
study("export", result.folder, "--to", "onnx")

import onnxruntime  # noqa: E402

session = onnxruntime.InferenceSession(result.folder / "best" / "model.onnx")
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
[logits] = session.run(None, {"images": best.pixels(new[0])[None].numpy()})
print(f"{new[0].name}: {classes[logits[0].argmax()]}")
