"""`python -m lorajax …`, the same as the command `lorajax`."""

from lorajax.cli import main

if __name__ == "__main__":
    main()
