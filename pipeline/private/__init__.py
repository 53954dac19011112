"""What nobody else on the machine is to see or touch: names without secrets, files and folders of one's own, bytes at
rest."""
