"""The sandbox as it is where the kernel knows nothing of files: a script in its place."""

import sys

sys.path.append(__file__.rsplit("/", 3)[0])

from transcoder import landlock, sandbox

landlock.restrict = lambda **_: False
for machine, calls in sandbox._MACHINES.items():
    sandbox._MACHINES[machine] = calls._replace(marks=())
sys.exit(sandbox.main(sys.argv[1:]))
