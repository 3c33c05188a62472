"""Messages of the feed as they were received, in Parquet files: one for each minute.

A row is a message, in the order of receipt: ``received_at``, ``message`` (the bytes of a text are
UTF-8), ``is_text``. A file gets its name when its minute is over; of a program that was killed, and
of a disk that is full, one without a name is left.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet as pq

from data_fetch import __version__
from data_fetch.archive.feed_recorder import (
    CLOSE_SECONDS,
    GROUP_BYTES,
    MESSAGE_BYTES,
    FeedRecorder,
)
from data_fetch.archive.parquet_files import PREFIX, UNREADABLE, BadFile, ForeignFile, read_checked
from data_fetch.archive.recording_folder import minute_paths
from data_fetch.archive.schemas import FLAG, INSTANT, ArchiveSchema
from data_fetch.core.feed.recorder import RecordedMessage
from data_fetch.core.files import OWNER_ONLY, UNFINISHED, private_folder, publish

MESSAGES = ArchiveSchema(
    table="feed_messages",
    version=1,
    arrow=pa.schema(
        [
            pa.field("received_at", INSTANT, nullable=False),
            pa.field("message", pa.binary(), nullable=False),
            pa.field("is_text", FLAG, nullable=False),
        ]
    ),
    key=(),
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# A group is complete with the message that makes it large enough, and one has at most 16 MB. More
# in a file is not ours, and is not to fill the memory of its reader.
LARGEST_GROUP_BYTES = 2**25
MOST_ROWS_IN_A_GROUP = GROUP_BYTES // MESSAGE_BYTES + 1
# A file that was made for it has a message of megabytes ten thousand times, in the space of one.
ROWS_AT_ONCE = 8

DAMAGE = (BadFile, *UNREADABLE, OverflowError)


def ignore_damage(_file: Path) -> None:
    """Discard the name of a damaged file."""


def recorder_in(
    folder: Path, *, reserved: int = 0, patience: float = CLOSE_SECONDS
) -> FeedRecorder:
    """Records into *folder*, while its disk has more than *reserved* bytes left for others."""
    return FeedRecorder(
        lambda minute, groups: write_minute(folder, minute, groups, reserved), patience=patience
    )


def write_minute(
    folder: Path,
    minute: datetime,
    groups: Iterable[Sequence[RecordedMessage]],
    reserved: int = 0,
) -> Path:
    """Write *groups* into a new file of *minute* in *folder*; where it is.

    Groups are taken when the file is begun, and no more than one of them is in memory. Raises
    OSError, also where less than *reserved* bytes of the disk are free; what was written by then
    is left unfinished.
    """
    path, unfinished = _begin(folder, minute, reserved)
    rows = 0
    with (
        unfinished.open("wb") as file,
        # Most of what a higher level gains costs three times as much time (measured).
        pq.ParquetWriter(
            file,
            MESSAGES.arrow,
            compression="zstd",
            compression_level=3,
            use_dictionary=False,
            write_statistics=["received_at"],
            write_page_checksum=True,
        ) as writer,
    ):
        for group in groups:
            writer.write_table(_table(group))
            rows += len(group)
        described = {
            "table": MESSAGES.table,
            "schema_version": str(MESSAGES.version),
            "product_version": __version__,
            "rows": str(rows),
        }
        writer.add_key_value_metadata(
            {f"{PREFIX}{name}": value for name, value in described.items()}
        )
    publish(unfinished, path)
    return path


def read_recordings(
    files: Iterable[Path], damaged: Callable[[Path], object] = ignore_damage
) -> Iterator[RecordedMessage]:
    """The messages of *files*, in order. A damaged file, or one of something else, ends where it
    cannot be read; *damaged* gets its path. Memory is bounded by one group of rows."""
    for path in files:
        try:
            with read_checked(path, MESSAGES) as file:
                _check_groups(path, file.metadata)
                yield from _messages(file)
        except DAMAGE:
            damaged(path)


def _begin(folder: Path, minute: datetime, reserved: int) -> tuple[Path, Path]:
    """The path that a file of *minute* will have, and the empty file that is it until then.

    Names are passed over of which a file is there, or what a killed program, or another one, has
    of it.
    """
    path, unfinished = next(
        (path, unfinished)
        for path in minute_paths(folder, minute)
        if not path.exists() and not (unfinished := _unfinished(path)).exists()
    )
    private_folder(path.parent)
    if shutil.disk_usage(path.parent).free < reserved:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path.parent))
    unfinished.touch(mode=OWNER_ONLY, exist_ok=False)
    return path, unfinished


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + UNFINISHED)


def _table(messages: Sequence[RecordedMessage]) -> pa.Table:
    contents = [
        each.message.encode() if isinstance(each.message, str) else each.message
        for each in messages
    ]
    columns = (
        [each.received_at for each in messages],
        contents,
        [isinstance(each.message, str) for each in messages],
    )
    return pa.Table.from_arrays(
        [
            pa.array(values, column.type)
            for values, column in zip(columns, MESSAGES.arrow, strict=True)
        ],
        schema=MESSAGES.arrow,
    )


def _check_groups(path: Path, metadata: pq.FileMetaData) -> None:
    """Raises ForeignFile for more in one group than a recorder writes."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        packed = sum(
            group.column(column).total_compressed_size for column in range(group.num_columns)
        )
        if (
            group.num_rows > MOST_ROWS_IN_A_GROUP
            or max(packed, group.total_byte_size) > LARGEST_GROUP_BYTES
        ):
            raise ForeignFile(path, f"group {number} has more than any of a recording")


def _messages(file: pq.ParquetFile) -> Iterator[RecordedMessage]:
    """Raises one of `DAMAGE` for what is no message."""
    for rows in file.iter_batches(batch_size=ROWS_AT_ONCE):
        instants = rows.column("received_at").view(pa.int64())
        columns = (instants, rows.column("message"), rows.column("is_text"))
        for at, content, is_text in zip(*(each.to_pylist() for each in columns), strict=True):
            yield RecordedMessage(
                EPOCH + at * MICROSECOND, content.decode() if is_text else content
            )
