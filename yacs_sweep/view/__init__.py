"""What a person sees of a sweep: the live screen, plain lines, `--status`. Nothing here decides anything."""
