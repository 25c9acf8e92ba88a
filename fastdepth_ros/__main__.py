"""`python -m fastdepth_ros` is `fastdepth`."""

from fastdepth_ros.cli import main

raise SystemExit(main())
