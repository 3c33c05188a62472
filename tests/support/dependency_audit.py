"""Compares what is installed with the advisories of the package index (`make security`).

pip-audit calls a package that the service does not know "skipped", and still ends with 0 when that
was every one of them: without the service its answer is worth nothing, and this says so.
"""

import json
import subprocess
import sys
from dataclasses import dataclass

AUDIT = (sys.executable, "-m", "pip_audit", "--progress-spinner=off", "--format=json")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The lines to print, and the exit status."""

    lines: tuple[str, ...]
    status: int


def verdict_on(output: str, errors: str) -> Verdict:
    """Of what pip-audit wrote to its *output* and its *errors*."""
    if not output:
        return _skipped(errors.strip().rpartition("\n")[2] or "pip-audit wrote nothing")
    packages = json.loads(output)["dependencies"]
    looked_up = [each for each in packages if "skip_reason" not in each]
    if not looked_up:
        return _skipped("the advisory service knows none of the packages")
    found = tuple(
        f"{each['name']} {each['version']}: {advisory['id']}, fixed in "
        f"{', '.join(advisory['fix_versions']) or 'no version yet'}"
        for each in looked_up
        for advisory in each["vulns"]
    )
    unknown = tuple(f"not audited: {each['name']}" for each in packages if each not in looked_up)
    summary = f"Packages audited: {len(looked_up)}; advisories: {len(found)}."
    return Verdict((*unknown, *found, summary), 1 if found else 0)


def _skipped(reason: str) -> Verdict:
    return Verdict((f"SKIPPED: dependencies were not audited ({reason}).",), 0)


def main() -> int:
    """Print the verdict on the environment of this interpreter; returns the exit status."""
    audit = subprocess.run(AUDIT, capture_output=True, text=True, check=False)
    verdict = verdict_on(audit.stdout, audit.stderr)
    print("\n".join(verdict.lines))
    return verdict.status


if __name__ == "__main__":
    sys.exit(main())
