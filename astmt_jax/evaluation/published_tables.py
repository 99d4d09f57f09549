"""The published results at hand, block by block; a block never mixes conventions.

The paper's own tables of NYUD, FSV and smaller backbones are not at hand.
"""

from astmt_jax.evaluation.published import Published, Row

ASTMT = "the paper, and README of facebookresearch/astmt"
TSN = "Task Switching Network, table 1"
MTDP = "README of innovator-zero/MTDP_Lib"
TRANSFORMERS = "README of prismformore/Multi-Task-Transformer"
MLORE = "README of YuqiYang213/MLoRE"
ATRC = "issue 2 of brdav/atrc"
BERKELEY = "the benchmark's page (Arbelaez et al., PAMI 2011)"

PASCAL_TASKS = ("edge", "semseg", "human_parts", "normals", "sal")
NYUD_TASKS = ("semseg", "depth", "normals", "edge")


def _pascal(
    method: str,
    values: tuple[float, ...],
    source: str,
    drop: float | None = None,
    parameters: float | None = None,
) -> Row:
    return Row(method, dict(zip(PASCAL_TASKS, values, strict=True)), source, drop, parameters)


def _nyud(method: str, values: tuple[float, ...], source: str) -> Row:
    """Without the edges where they were not published."""
    return Row(method, dict(zip(NYUD_TASKS, values, strict=False)), source)


PASCAL_BY_ASTMT = Published(
    dataset="pascal_context",
    setting="PASCAL-Context, 5,105 validation images, saliency as max mIoU",
    protocols=("astmt",),
    split="val",
    choices={
        "edge_protocol": ("pascal",),
        "edge_truth": ("default",),
        "semseg_classes": ("all",),
        "sal_convention": ("astmt", "astmt_numpy1"),
    },
    headlines={
        "edge": "odsF",
        "semseg": "mIoU",
        "human_parts": "mIoU",
        "normals": "mean",
        "sal": "mIoU",
    },
    rows=(
        _pascal("ASTMT R-101, single-task networks", (72.7, 68.30, 60.70, 14.61, 65.40), ASTMT),
        _pascal(
            "ASTMT R-101, multi-task without ASTMT", (69.2, 63.20, 55.10, 16.04, 63.60), ASTMT, 6.81
        ),
        _pascal("ASTMT R-101", (72.4, 68.00, 61.12, 14.68, 65.71), ASTMT, 0.04),
        _pascal("R-18, single-task networks", (71.3, 64.3, 55.3, 16.3, 62.9), TSN, None, 88.7),
        _pascal("R-18, a decoder a task", (72.2, 55.4, 55.5, 16.8, 59.1), TSN, 4.32, 43.9),
        _pascal("R-18, batch norm a task", (71.6, 55.9, 54.1, 16.7, 60.0), TSN, 4.38, 17.7),
        _pascal("R-18, instance norm a task", (70.7, 62.8, 54.6, 16.8, 63.1), TSN, 1.43, 17.7),
        _pascal("TSN R-18", (70.6, 64.2, 55.0, 16.3, 63.3), TSN, 0.30, 18.3),
        _pascal("PGT Swin-T", (73.93, 67.58, 62.58, 13.95, 65.59), MTDP, None, 28.5),
        _pascal("PGT Swin-S", (75.63, 73.66, 67.35, 13.71, 66.57), MTDP, None, 50.1),
        _pascal("TIT Swin-T", (73.91, 70.04, 62.68, 14.43, 66.14), MTDP, None, 31.3),
    ),
)

PASCAL_BY_SUCCESSORS = Published(
    dataset="pascal_context",
    setting="PASCAL-Context, validation images, saliency as maxF of pooled pixels",
    protocols=("successors",),
    split="val",
    choices={**PASCAL_BY_ASTMT.choices, "sal_convention": ("successors",)},
    headlines={**PASCAL_BY_ASTMT.headlines, "sal": "maxF_pooled"},
    rows=(
        _pascal("ATRC", (72.42, 67.67, 62.93, 14.24, 82.29), TRANSFORMERS),
        _pascal("InvPT ViT-L", (73.00, 79.03, 67.61, 14.15, 84.81), TRANSFORMERS),
        _pascal("TaskPrompter ViT-B", (73.60, 78.63, 66.93, 13.42, 84.77), TRANSFORMERS),
        _pascal("TaskPrompter ViT-L", (73.80, 80.79, 68.81, 13.58, 84.26), TRANSFORMERS),
        _pascal("MLoRE ViT-B", (74.69, 79.26, 67.82, 13.65, 85.31), MLORE),
        _pascal("MLoRE ViT-L", (75.42, 81.41, 70.52, 13.51, 84.90), MLORE),
    ),
)

NYUD_BY_SUCCESSORS = Published(
    dataset="nyud",
    setting="NYUD-v2, 654 validation images, 40 classes, depth as RMSE over all pixels",
    protocols=("successors",),
    split="val",
    options={"classes": 40},
    choices={
        "edge_protocol": ("nyud",),
        "edge_truth": ("default",),
        "semseg_classes": ("all",),
        "depth_convention": ("pooled",),
        "min_depth": (None, 0),
        "max_depth": (None,),
    },
    headlines={"edge": "odsF", "semseg": "mIoU", "normals": "mean", "depth": "rmse"},
    rows=(
        _nyud("HRNet-18, multi-task", (36.35, 0.6248, 21.02), ATRC),
        _nyud("ATRC", (46.33, 0.5363, 20.18, 77.94), TRANSFORMERS),
        _nyud("InvPT ViT-L", (53.56, 0.5183, 19.04, 78.10), TRANSFORMERS),
        _nyud("TaskPrompter ViT-L", (55.90, 0.5062, 18.58, 77.70), TRANSFORMERS),
        _nyud("MLoRE ViT-L", (55.96, 0.5076, 18.33, 78.43), MLORE),
        _nyud("PGT Swin-T", (41.61, 0.5900, 20.06, 77.05), MTDP),
        _nyud("PGT Swin-S", (46.43, 0.5468, 19.24, 78.04), MTDP),
        _nyud("PGT Swin-B", (47.42, 0.5502, 19.12, 78.28), MTDP),
        _nyud("TIT Swin-T", (41.36, 0.5925, 19.68, 77.30), MTDP),
    ),
)

BSDS500 = Published(
    dataset="bsds500",
    setting="BSDS500, 200 test images, every annotator's boundaries",
    protocols=("astmt", "successors"),
    split="test",
    choices={"edge_protocol": ("bsds", "bsds_nms"), "edge_truth": ("default",)},
    headlines={"edge": "odsF"},
    rows=(
        Row("Canny", {"edge": 60.0}, BERKELEY),
        Row("gPb-owt-ucm", {"edge": 72.63}, "BSDS500/ucm2/test_eval of BIDS/BSDS500"),
        Row("HED", {"edge": 78.8}, "issue 3 of xwjabc/hed"),
    ),
)

PUBLISHED = (PASCAL_BY_ASTMT, PASCAL_BY_SUCCESSORS, NYUD_BY_SUCCESSORS, BSDS500)
"""At most one a dataset and protocol."""
