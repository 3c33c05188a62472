"""Where the archive of a world is."""

from pathlib import Path

from data_fetch.core.world import World


def archive_root(chosen: Path | None, data_folder: Path, world: World, owner: World | None) -> Path:
    """The folder of the archive of *world*.

    The *chosen* one; otherwise the data folder, unless its archive is of the other world: then a
    folder in it with the name of the world. *owner* is the world of the archive in the data
    folder, None if there is none.
    """
    if chosen is not None:
        return chosen
    return data_folder if owner in {None, world} else data_folder / world
