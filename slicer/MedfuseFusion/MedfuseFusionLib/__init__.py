"""What the module does, apart from what it looks like; nothing here needs 3D Slicer."""
