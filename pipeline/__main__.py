"""`python -m pipeline` is `facewarden`."""

import os
import sys

if not sys.flags.safe_path:
    # Python has put the current folder there, in which modules may lie beside the videos.
    sys.path[0] = __file__.rsplit(os.sep, 2)[0]

from pipeline.commands.app import main
from pipeline.jail.installation import forget_current_folder

if __name__ == "__main__":
    forget_current_folder()
    main()
