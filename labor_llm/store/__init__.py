"""Results on disk: atomic, checksummed, resumable, and made again only when what they rest on has changed."""
