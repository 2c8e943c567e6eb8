"""The speeds that PyTorch's article on MobileNetV3 promises, measured here.

Run: python benchmarks/article.py [--runs N] [--threads N]; needs `vision-registry[torch]`. It is a part of
`registry benchmark --suite mobilenetv3`: random weights, each model in a process of its own, pinned to the same cores, in
turns; medians. Printed: a budget of 150 proposals against 1000 at 320 pixels, segmentation at 320 against 520 pixels, and
the models on ResNet-50 against those on MobileNetV3-Large, beside what the article says.
"""

from __future__ import annotations

import argparse
import warnings

from registry_benchmark.asked import Asked
from registry_benchmark.cores import chosen
from registry_benchmark.suite import Part, read
from registry_benchmark.suite_runs import Measured, run
from registry_benchmark.tables import machine_line, plain

import registry

#: What is asked of a speed-up, by the row that is the faster one, beside what the article promises.
ASKED = {"rpn_after": 1.4, "lraspp_320": 2.0, "deeplabv3_320": 2.0, "fcn_320": 2.0}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, help="counted runs of each")
    parser.add_argument("--threads", type=int, default=1, help="threads, each with a core")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    suite = read("mobilenetv3").chosen(["classification", "detection", "proposals", "segmentation", "small-images"])
    needed = {name for headline in suite.headlines for part in headline.parts for name in part.rows}
    tables = [
        table.model_copy(update={"rows": tuple(row for row in table.rows if row.id in needed)})
        for table in suite.tables
    ]
    asked = Asked(threads=options.threads, cores=chosen(options.threads), runs=options.runs)
    found = run(registry.default_registry(), suite.model_copy(update={"tables": tuple(tables)}), asked, {})
    parts = [part for headline in suite.headlines for part in headline.parts]
    print(machine_line(found.machine))
    print(
        plain(
            [line(found, part) for part in parts],
            ["slow", "ms", "fast", "ms", "ratio", "article", "asked"],
            [1, 3, 4, 5],
        )
    )
    for name, row in found.rows.items():
        if row["proposals"] is not None:
            print(f"{name}: {row['proposals']:.0f} proposals an image")


def line(found: Measured, part: Part) -> list[str]:
    """Labels and times of a pair, their ratio, the article's, and what is asked."""
    slow, fast = (found.rows[name] for name in part.rows)
    times = [row["seconds"]["median"] for row in (slow, fast)]
    ratio = times[0] / times[1]
    least = ASKED.get(part.rows[1])
    published = {row.id: row.published["seconds"] for row in found.suite.every_row()}
    article = published[part.rows[0]] / published[part.rows[1]]
    verdict = "" if least is None else f"at least {least:g}x, {'met' if ratio >= least else 'NOT met'}"
    shown = [f"{seconds * 1000:.1f}" for seconds in times]
    return [slow["label"], shown[0], fast["label"], shown[1], f"{ratio:.2f}x", f"{article:.2f}x", verdict]


if __name__ == "__main__":
    main()
