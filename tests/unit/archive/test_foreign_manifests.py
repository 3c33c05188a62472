"""A manifest that others wrote: its paths stay in the archive's folder."""

from pathlib import Path

import orjson
import pytest
from foreign_bytes import MANIFEST

from data_fetch.archive.manifest_file import read_manifest
from data_fetch.core.errors import SetupError


@pytest.mark.parametrize("path", ["/etc/passwd", "../paper.db", "options_processed/../../.env"])
@pytest.mark.parametrize("member", ["files", "retired"])
def test_a_path_that_leads_out_of_the_folder_is_refused(
    tmp_path: Path, member: str, path: str
) -> None:
    manifest = tmp_path / "manifest.json"
    [named] = MANIFEST[member]
    manifest.write_bytes(orjson.dumps({**MANIFEST, member: [{**named, "path": path}]}))

    with pytest.raises(SetupError, match="not in the folder"):
        read_manifest(manifest)
