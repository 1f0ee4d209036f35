"""The command line, the only room that prints: arguments become a request, steps and an exit status."""
