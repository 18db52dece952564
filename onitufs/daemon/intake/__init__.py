"""What others do on an entry comes into the mount. One Intake an entry, in the entry's nursery.

Whatever is told or listed is only a hint where to look; what is done about it is decided by referee/sightings.py from
what stands there when nothing of ours is under way at that place. What is remembered over a restart
is how far that was taken over (feed.py); where a service keeps no account of changes, the entry is listed again.
"""

from .feed import Feed as Feed
from .intake import Intake as Intake
from .intake import Progress as Progress
from .losing import Wave as Wave
from .outside import Outside as Outside
from .outside import TellKernel as TellKernel
from .overtaken import Overtaken as Overtaken
