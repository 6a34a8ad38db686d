"""The command line: `marketo-assets check | sandbox | demo`. Each command lies in a module of its own."""

import importlib
from typing import Final

import click

_COMMANDS: Final = {
    "check": "marketo_assets.check",
    "demo": "marketo_assets.sandbox.demo",
    "sandbox": "marketo_assets.sandbox.command",
}


class _Commands(click.Group):
    """Imports a command when it is asked for: the sandbox needs packages that production does not have."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's interface
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # as above
        if cmd_name not in _COMMANDS:
            return None
        try:
            module = importlib.import_module(_COMMANDS[cmd_name])
        except ModuleNotFoundError as error:
            message = f"`{cmd_name}` needs the package {error.name}: pip install 'marketo-assets[sandbox]'"
            raise click.ClickException(message) from error
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(cls=_Commands)
@click.version_option(package_name="marketo-assets")
def main() -> None:
    """Keep a Snowflake warehouse and Adobe Marketo Engage in step."""
