"""What stands in a report where the run's data are needed, and were there or not."""

from collections.abc import Callable, Iterator

from astmt_jax.report.analysis import Analysis, Measured
from astmt_jax.report.blocks import Block, Text

WITHOUT_DATA = (
    "This takes the data of the run, which were not there when the page was made: make it again "
    "with --data_dir=DIR, the folder of prepared datasets."
)


def with_data(
    analysis: Analysis, blocks: Callable[[Analysis, Measured], Iterator[Block]]
) -> list[Block]:
    """What `blocks` makes of what was measured on the data, or a sentence where there are none."""
    if analysis.measured is None:
        return [Text(WITHOUT_DATA)]
    return list(blocks(analysis, analysis.measured))
