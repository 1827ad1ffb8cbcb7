"""`python -m medgen`: the command line, where no script is installed."""

import sys

from medgen.cli.app import main

sys.exit(main())
