"""Which releases of transformers the classes are held against, token for token: `make versions`."""

import warnings

import transformers
from packaging.version import Version

OLDEST, NEWEST = "5.20.2", "5.24.0"


def warn_if_untested(version: str = transformers.__version__) -> None:
    """Warns of a release outside these two: a renamed argument, as 5.24 has one, may change what is computed."""
    if not Version(OLDEST) <= Version(version) <= Version(NEWEST):
        warnings.warn(
            f"longt5 is tested with transformers {OLDEST} to {NEWEST} and not with {version}, which is installed: "
            "what it computes may be wrong.",
            stacklevel=3,
        )
