"""Ray that a command has left stays left."""

import os
import subprocess
import sys

LEFT = """
import ray
from study.cluster import connection
connection.start_none_by_chance()
try:
    ray.put(1)
except ray.exceptions.RaySystemError as error:
    print(error)
print(ray.is_initialized())
"""


def test_what_still_calls_ray_when_it_was_left_starts_none() -> None:
    environment = {**os.environ, "RAY_ADDRESS": "local"}
    said = subprocess.run([sys.executable, "-c", LEFT], capture_output=True, text=True, check=True, env=environment)
    assert "Ray has not been started yet" in said.stdout
    assert said.stdout.splitlines()[-1] == "False"
