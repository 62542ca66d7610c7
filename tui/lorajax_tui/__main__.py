"""`python -m lorajax_tui`, the same as `lorajax-tui`."""

from lorajax_tui.app import main

if __name__ == "__main__":
    main()
