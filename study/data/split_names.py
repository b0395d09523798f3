"""Names of splits: those that a study takes for one, and those that only look like one and so are a question."""

import re

SPLIT_NAMES = {
    **{"train": "train", "training": "train"},
    **{"val": "val", "valid": "val", "validation": "val"},
    **{"test": "test", "testing": "test"},
}
# The words that people write into such names, in any common spelling: `seg_train`, `Test set`, `holdout2`
WORDS = {
    **dict.fromkeys(("train", "training", "trn", "trainset", "traindata", "trainimages", "trainimgs", "fit"), "train"),
    **dict.fromkeys(("val", "vali", "valid", "validate", "validation", "valset", "valdata", "dev", "devel"), "val"),
    **dict.fromkeys(("development", "devset", "tune", "tuning", "validset"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "testset", "testdata", "testimages", "testimgs"), "test"),
    **dict.fromkeys(("eval", "evaluate", "evaluation", "evalset", "holdout", "heldout", "unseen"), "test"),
    **dict.fromkeys(("pred", "preds", "predict", "prediction", "predictions", "unlabeled", "unlabelled"), "unlabelled"),
    **dict.fromkeys(("submission", "submit", "infer", "inference"), "unlabelled"),
}
PAIRS = {("hold", "out"): "test", ("held", "out"): "test", ("left", "out"): "test", ("un", "labeled"): "unlabelled"}
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def likely(name: str) -> str | None:
    """The split that a name looks like: train, val, test or unlabelled; None where it looks like none."""
    words = [word.lower() for word in WORD.findall(name)]
    for pair, split in PAIRS.items():
        if any(pair == (words[i], words[i + 1]) for i in range(len(words) - 1)):
            return split
    found = [WORDS[word] for word in words if word in WORDS]
    return found[0] if found else None


def rest(name: str) -> str:
    """A name without the word that makes it look like a split: `seg` of `seg_train` and of `seg_test`."""
    return "".join(word.lower() for word in WORD.findall(name) if word.lower() not in WORDS)
