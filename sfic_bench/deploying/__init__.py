"""Networks written as files for other runtimes."""
