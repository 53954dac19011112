"""Models that others have made: `catalog` says which there are and where they lie, `fetch` brings them, and `quantize`
writes them at other precisions.
"""
