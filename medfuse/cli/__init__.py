"""The command line: one thin module per command. Each parses, calls the library and reports."""
