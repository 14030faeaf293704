"""`python cli.py ...` in a checkout is the same as `hwnas ...` after installation."""

from hwnas.cli import main

if __name__ == "__main__":
    main()
