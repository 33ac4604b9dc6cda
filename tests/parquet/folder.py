"""Files in a folder."""

import pathlib
import sys

from lake import Lake, Node, until

work = pathlib.Path(sys.argv[1])
node = Node(work, work / "lake")
try:
    lake = Lake(work / "lake")
    node.publish()
    node.report(range(100))
    until("all events are in files", lambda: lake.is_complete(100))
    lake.check(100)
except BaseException:
    print(node.log())
    raise
finally:
    node.kill()
