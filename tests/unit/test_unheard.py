"""What libraries print, import or fail at past us."""

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.data import libjpeg
from study.data.decoding import decode

ROOT = Path(__file__).parents[2]


def jpeg_with_a_fault() -> bytes:
    """One that libjpeg reads and warns of: bytes too many before a marker."""
    encoded = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(encoded, "JPEG")
    data = encoded.getvalue()
    return data[:-2] + b"abcdef" + data[-2:]


def test_libjpegs_warnings_are_dropped_and_all_else_is_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    data = jpeg_with_a_fault()
    decode(data)
    assert "Corrupt JPEG data" in capfd.readouterr().err
    with libjpeg.unheard() as shown:
        decode(data)
        os.write(2, b"a crash of somebody else\n")
        print("at once", file=shown, flush=True)
    assert capfd.readouterr().err == "at once\na crash of somebody else\n"


def test_what_trains_imports_no_wandb_and_whoever_asks_for_it_has_it() -> None:
    script = (
        "import sys, trainables, timm, ray.air.integrations.wandb; assert 'wandb' not in sys.modules; "
        "import wandb; print(wandb.__name__)"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("wandb\n", "")
