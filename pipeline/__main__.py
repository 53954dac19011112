"""`python -m pipeline` is `facewarden`."""

from pipeline.commands.app import app

if __name__ == "__main__":
    app()
