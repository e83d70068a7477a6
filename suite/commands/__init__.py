"""What the commands `why`, `status`, `export` and `doctor` find out; `suite.cli` prints it."""
