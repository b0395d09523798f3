"""Whether a package that constraints.txt pins has a known vulnerability, by pip-audit, where its source is reachable.

    make audit        # a part of make check

pip-audit is no part of the environment, whose packages it would be among: `pipx install pip-audit`, or any other way to
have the command. Exits with 1 for a known vulnerability; what could not be asked is one line, and no failure.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

PINNED = Path(__file__).parents[1] / "constraints.txt"
SECONDS = 45  # make check is to be quick


def main() -> int:
    command = shutil.which("pip-audit")
    if command is None:
        return nothing("pip-audit is not installed (pipx install pip-audit)")
    options = ["--requirement", str(PINNED), "--disable-pip", "--no-deps", "--format", "json"]
    try:
        ran = subprocess.run(
            [command, *options, "--progress-spinner", "off", "--timeout", "5"],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        packages = json.loads(ran.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        return nothing(f"its source did not answer within {SECONDS} s")
    except (ValueError, KeyError):
        return nothing("its source cannot be reached from here")
    asked = [package for package in packages if "skip_reason" not in package]
    known = [(package, one) for package in asked for one in package["vulns"]]
    for package, one in known:
        mended = ", ".join(one["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {one['id']}, mended in {mended}")
    if not asked:
        return nothing(f"its source knows none of {len(packages)} packages from here")
    print(f"audit: {len(asked)} of {len(packages)} packages asked for, {len(known)} known vulnerabilities")
    return 1 if known else 0


def nothing(why: str) -> int:
    print(f"audit: nothing was audited: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
