"""`python -m lorajax.train CONFIG [key.sub=value …]`, the same as `lorajax train`."""

import typer

from lorajax.cli.training import train

if __name__ == "__main__":
    app = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )
    app.command()(train)
    app(prog_name="python -m lorajax.train")
