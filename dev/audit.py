"""Fails if an installed package has a known vulnerability that `dev/advisories.json` does not accept.

python dev/audit.py

An accepted one has a reason and a date until which that holds:

    {"GHSA-xxxx-xxxx-xxxx": {"reason": "Only with a feature that is off here.", "until": "2027-03-01"}}
"""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCEPTED = Path(__file__).with_name("advisories.json")


@dataclass(frozen=True)
class Advisory:
    """A known vulnerability of an installed package."""

    package: str
    version: str
    names: tuple[str, ...]
    """Its id and its aliases."""
    fixed_in: str


def ask() -> list[Advisory] | None:
    """What is known of the packages of this environment; None where nobody could be asked."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
    try:
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    except ValueError:  # it says what went wrong, such as that there is no network, where nobody looks
        return None
    if all("skip_reason" in package for package in found["dependencies"]):
        return None
    return [
        Advisory(
            package["name"],
            package["version"],
            (known["id"], *known.get("aliases", ())),
            ", ".join(known.get("fix_versions", ())) or "no release yet",
        )
        for package in found["dependencies"]
        for known in package.get("vulns", ())
    ]


def complaints(found: list[Advisory], accepted: dict[str, Any], today: datetime.date) -> list[str]:
    """A line for every advisory that is not accepted, or not any more."""
    lines = []
    for advisory in found:
        entry = next((accepted[name] for name in advisory.names if name in accepted), None)
        what = f"{advisory.package} {advisory.version}: {advisory.names[0]}, mended in {advisory.fixed_in}"
        if entry is None:
            lines.append(f"{what}; update it, or accept it in {ACCEPTED.name} with a reason and a date")
        elif not entry.get("reason") or datetime.date.fromisoformat(entry["until"]) < today:
            lines.append(f"{what}; it was accepted until {entry['until']}: look at it again")
    return lines


def main() -> int:
    """The exit code: 1 for a complaint."""
    found = ask()
    if found is None:
        print("Nothing was checked: the list of advisories can't be reached from here.")
        return 0
    lines = complaints(found, json.loads(ACCEPTED.read_text(encoding="utf-8")), datetime.date.today())
    print("\n".join(lines) or f"No vulnerability is known that is not accepted ({len(found)} are).")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
