"""`python -m registry.cli`: the command line without its script."""

from registry.cli.group import main

if __name__ == "__main__":
    main()
