"""`python -m pipeline` is `facewarden`."""

from pipeline.commands.app import main

if __name__ == "__main__":
    main()
