from .fixtures import bare_sshd as bare_sshd
from .fixtures import chrooted_sshd as chrooted_sshd
from .fixtures import new_sshd as new_sshd
from .fixtures import sshd as sshd
