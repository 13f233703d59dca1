"""The only code that knows files: reads volumes, writes results whole or not at all, finds the modality."""
