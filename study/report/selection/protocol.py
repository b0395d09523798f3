"""How it was decided, and how to go on."""

from study.report.blocks import Code, Facts, Note, Section
from study.results.selection import Selection
from study.text import duration, plural


def section(selection: Selection) -> Section:
    facts = selection.facts
    split = facts["split"]
    stored = facts["stored_images"]
    kept = plural(len(facts["kept"]), "backbone")
    versions = ", ".join(f"{name} {one}" for name, one in facts["versions"].items())
    hardware = ", ".join(f"{name} {one}" for name, one in facts["hardware"].items() if one)
    return Section(
        "protocol",
        "How to go on, and how it was decided",
        [
            Code(f"Search hyperparameters and freeze depth of {kept} on the same splits", facts["next"]),
            Code("The same selection again", facts["command"]),
            Facts(
                "The race",
                [
                    ("budget", f"{duration(facts['budget'])}, of which {duration(facts['seconds'])} were used"),
                    ("subsets", ", ".join(f"{size:,}" for size in facts["sizes"])),
                    ("margin", f"{100 * facts['margin']:g} points for each doubling of the images"),
                    ("level of the tests", f"{facts['level']:g} over the race, Holm within a round"),
                    ("seed of the subsets", str(facts["seed"])),
                    ("candidates at a time", str(facts["at_a_time"])),
                    ("cached for what follows", f"{stored:,} of {split['train']:,} training images" if stored else "–"),
                ],
            ),
            Facts(
                "The images",
                [
                    ("dataset", facts["dataset"]),
                    ("train, validation, test", " / ".join(f"{split[name]:,}" for name in ("train", "val", "test"))),
                    ("looked at", "train alone"),
                    ("splits", facts["fingerprint"]),
                    ("scale", facts["scale"]),
                    ("versions", versions),
                    ("machine", hardware),
                ],
            ),
            *[Note(note) for note in facts["notes"]],
        ],
        short="Protocol",
    )
