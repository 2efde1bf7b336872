"""`python -m unlabel` is `unlabel`."""

from unlabel.cli import main

if __name__ == "__main__":
    main()
