"""`python -m musicgen_edu.cli`, for `accelerate launch`."""

import sys

from .main import main

sys.exit(main())
