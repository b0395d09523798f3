"""Lays out in .gpu/ what a bare GPU machine without a network lacks: `make gpu-pack`. docs/gpu.md says how to go on.

Such a machine has Python 3.12 on x86-64 Linux, torch with CUDA, torchvision, timm, pyarrow, scikit-learn, pytest, and
what these need. `site.tar.xz` holds the rest, of the versions in constraints.txt and without what a study never
touches; `tree.tar.gz` holds the last commit, which `commit` names.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
# W&B is not among them (20 MB): a study does without it
LACKING = (
    *("ray", "optuna", "alembic", "sqlalchemy", "mako", "colorlog", "plotly", "msgspec"),
    *("pydantic", "pydantic-core", "annotated-types", "typing-inspection"),
    *("jsonschema", "jsonschema-specifications", "referencing", "rpds-py", "tensorboardx"),
    *("rich", "markdown-it-py", "mdurl", "pygments", "shtab"),
)
LEFT_OUT = ("wandb", "wandb-workspaces")
THERE = (  # with torch, torchvision, timm, pyarrow, scikit-learn and statsmodels, and what these need
    *("torch", "torchvision", "timm", "pyarrow", "scikit-learn", "statsmodels", "numpy", "scipy", "pillow"),
    *("huggingface-hub", "safetensors", "jinja2", "psutil"),
)
PLATFORMS = [f"manylinux{version}_x86_64" for version in ("_2_28", "_2_27", "_2_17", "2014", "1")]
NEVER_TOUCHED = (
    *("ray/jars", "ray/rllib", "ray/llm", "ray/serve", "ray/dashboard/client", "ray/cpp"),
    *("plotly/labextension", "plotly-*.data", "**/*.pyi", "**/*.js.map", "ray/**/tests", "ray/**/test"),
    *("sqlalchemy/**/testing", "alembic/testing", "optuna/testing"),
)
PROGRAMS = ("ray/core/src/ray/gcs/gcs_server", "ray/core/src/ray/raylet/raylet")
LARGE = 200 << 10
MOST = 64 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / ".gpu", help="default .gpu")
    out = parser.parse_args().out
    out.mkdir(exist_ok=True)
    wheels = out / "wheels"
    with tempfile.TemporaryDirectory(prefix="gpu-pack-") as folder:
        site = Path(folder) / "site"
        for wheel in downloaded(wheels):
            subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, site], check=True)
        slim(site)
        print("compressing, which takes a minute or two", flush=True)
        with tarfile.open(out / "site.tar.xz", "w:xz", preset=6) as archive:
            archive.add(site, arcname=".")
    subprocess.run(
        ["git", "archive", "--format=tar.gz", f"--output={out / 'tree.tar.gz'}", "HEAD"], cwd=ROOT, check=True
    )
    with (out / "commit").open("w") as file:
        subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, stdout=file, check=True)
    shutil.rmtree(wheels)
    sizes = {path.name: path.stat().st_size for path in sorted(out.iterdir()) if path.is_file()}
    print(", ".join(f"{name} {size / 2**20:.1f} MiB" for name, size in sizes.items()))
    if sum(sizes.values()) > MOST:
        sys.exit(f"that is {sum(sizes.values()) / 2**20:.1f} MiB, of at most {MOST >> 20}")


def downloaded(folder: Path) -> Iterator[Path]:
    """A wheel of each package that is lacking, for such a machine whatever this one is."""
    pinned = dict(re.findall(r"^([\w.-]+)(?:\[.*\])?==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    machine = ["--python-version", "3.12", "--implementation", "cp", *platforms]
    wanted = [f"{name}=={pinned[name]}" for name in LACKING]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*command, *machine, "--dest", folder, *wanted], check=True)
    yield from sorted(folder.glob("*.whl"))


def slim(site: Path) -> None:
    """Takes out what a study never touches, and the symbols of what is compiled."""
    for pattern in NEVER_TOUCHED:
        for path in list(site.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    compiled = [path for path in site.rglob("*.so") if path.stat().st_size > LARGE]
    for program in PROGRAMS:
        os.chmod(site / program, 0o755)
    if shutil.which("strip"):
        for path in [*compiled, *(site / program for program in PROGRAMS)]:
            subprocess.run(["strip", "--strip-unneeded", path], stderr=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    main()
