"""The live path, a file for each step: from sources over the broker to workers, and on to files and servers."""
