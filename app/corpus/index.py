"""The page to search."""
from pathlib import Path
def write_index(folder: Path, pages: tuple[str, ...]) -> None:
    pass
