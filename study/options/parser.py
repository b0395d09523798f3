"""argparse as every command here uses it: short help, a config file, and mistakes of one line.

Imports nothing heavy: `--help`, `--version` and a mistake are answered at once.
"""

import argparse
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from study.options import config_file
from study.terminal.mistake import fail
from trainables.choices import did_you_mean

MORE = "--help-all shows every option."


class Parser(argparse.ArgumentParser):
    """The options of one command.

    Args:
        command: the module, as `study.run`.
        usage: what follows the command in the first line of its help.
        description: what the command does, in a sentence or two.
        common: the options that most runs need, which is what --help shows; None for all of them.
        epilog: examples.
    """

    def __init__(
        self,
        command: str,
        usage: str,
        description: str,
        *,
        common: Collection[str] | None = None,
        epilog: str | None = None,
    ) -> None:
        prog = f"python -m {command}"
        super().__init__(
            prog=prog,
            usage=f"{prog} {usage}",
            description=description,
            epilog=epilog,
            formatter_class=Formatter,
            add_help=False,
        )
        self.command = command
        self.common = common
        self.collects = False  # whether only what is given is collected: nothing is said, and nothing has a default
        self.source = ""  # where the words that are being parsed come from, if not from the command line
        self.register("action", "store_true", Switch)
        self._optionals.title = "help and configuration"
        self.add_argument("-h", "--help", action=Show, say=lambda: self.format_help(), help="show this and exit")
        if common is not None:
            self.add_argument("--help-all", action=Show, say=self.format_all, help="show every option and exit")
        self.add_argument("--version", action=Show, say=version, help="show the version and exit")
        self.add_argument(
            "--config",
            metavar="FILE.toml",
            help="options by name, as trials = 32; what the command line gives wins",
        )

    def parse(self, arguments: Sequence[str] | None = None) -> argparse.Namespace:
        """The options, those of `--config` included; `words` is the command line with these written out.

        Exits with 2 for a mistake, and with 0 after what `--help` and `--version` say.
        """
        words = list(sys.argv[1:] if arguments is None else arguments)
        given, unknown = self.given(words)
        if unknown and not self.shows(words):  # before what is required, which may be what is misspelled
            self.error(self.unknown(unknown[0]))
        if path := given.pop("config", None):
            words = [*self.configured(path, given), *self.without_config(words)]
        options = self.parse_known_args(words)[0]
        options.words = words
        return options

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, which takes `--name=--` for an option with no value, and fails."""
        for word in args or []:
            name, equals, value = word.partition("=")
            if word == "--":
                break
            if name.startswith("-") and equals and value == "--":
                self.error(f"{name} needs a value, got {value}")
        return super().parse_known_args(args, namespace)

    def given(self, words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
        """What these words give, and nothing of what they leave out; and those that mean nothing."""
        with self.nothing_else():
            options, unknown = self.parse_known_args(words)
            return vars(options), unknown

    def shows(self, words: Sequence[str]) -> bool:
        """Whether the words ask for help or the version, which is shown whatever else they say."""
        shown = [name for action in self._actions if isinstance(action, Show) for name in action.option_strings]
        return not set(shown).isdisjoint(words)

    def configured(self, path: str, given: Collection[str]) -> list[str]:
        """The options of a config file as words; without those that the command line gives."""
        self.source = f"config {path}: "
        try:
            words = config_file.words(path, self.by_name(), leave_out=given)
        except ValueError as mistake:
            self.error(str(mistake))
        self.given(words)  # what is wrong with a value is said of the file
        self.source = ""
        return words

    def without_config(self, words: Sequence[str]) -> list[str]:
        """The words but for `--config FILE` or `--config=FILE`, abbreviated or not."""
        kept, rest = [], iter(words)
        for word in rest:
            name, equals, _ = word.partition("=")
            if len(name) > 3 and "--config".startswith(name):
                if not equals:
                    next(rest)
            else:
                kept.append(word)
        return kept

    @contextmanager
    def nothing_else(self) -> Iterator[None]:
        """Inside, no option has a default and none is required."""
        self.collects = True
        before = [(action, action.default, action.required) for action in self._actions]
        for action in self._actions:
            action.required = False
            if action.option_strings:
                action.default = argparse.SUPPRESS
        try:
            yield
        finally:
            self.collects = False
            for action, default, required in before:
                action.default, action.required = default, required

    def by_name(self) -> dict[str, argparse.Action]:
        """The options that a config file may give, by their names without dashes."""
        named = {name[2:]: action for name, action in self._option_string_actions.items() if name.startswith("--")}
        return {
            name: action
            for name, action in named.items()
            if not isinstance(action, Show)
            and name != "config"
            and not (isinstance(action, Switch) and name.startswith("no-"))
        }

    def format_help(self) -> str:
        """The options that most runs need."""
        if self.common is None:
            return self.format_all()
        with self.hidden(
            action
            for action in self._actions
            if not isinstance(action, Show) and action.dest not in self.common and action.option_strings
        ):
            return f"{self.format_all()}\n{MORE}\n"

    def format_all(self) -> str:
        self._action_groups.sort(key=lambda group: group is self._optionals)  # what every command has comes last
        return super().format_help()

    @contextmanager
    def hidden(self, actions: Iterator[argparse.Action]) -> Iterator[None]:
        before = [(action, action.help) for action in actions]
        for action, _ in before:
            action.help = argparse.SUPPRESS
        try:
            yield
        finally:
            for action, text in before:
                action.help = text

    def unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"unexpected argument {word!r}"
        name = word.split("=")[0]
        return f"unknown option {name}{did_you_mean(name.lstrip('-'), self.by_name(), '--')}"

    def error(self, message: str) -> NoReturn:
        everything = "--help" if self.common is None else "--help-all"
        sys.exit(fail(f"{self.source}{message} ({self.prog} {everything} lists the options)"))


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Shows a switch by its first form, for `--no-NAME` goes without saying."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        return action.option_strings[0] if isinstance(action, Switch) else super()._format_action_invocation(action)


class Switch(argparse.Action):
    """Turns something on; `--no-NAME` turns it off where a config file has turned it on."""

    def __init__(
        self, option_strings: Sequence[str], dest: str, default: bool = False, required: bool = False, help: str = ""
    ) -> None:
        off = [f"--no-{name.removeprefix('--')}" for name in option_strings]
        super().__init__([*option_strings, *off], dest, nargs=0, default=default, help=help)

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        setattr(namespace, self.dest, not str(option).startswith("--no-"))


class Show(argparse.Action):
    """Says something and exits, as --help does."""

    def __init__(
        self, option_strings: Sequence[str], dest: str, say: Callable[[], str], default: Any = None, help: str = ""
    ) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, help=help)
        self.say = say

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        if not (isinstance(parser, Parser) and parser.collects):
            print(self.say().rstrip())
            sys.exit(0)


def version() -> str:
    from study.options.version import version

    return version()
