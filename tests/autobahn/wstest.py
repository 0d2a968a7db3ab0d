# Python 2.7: the suite's command wstest, changed so that its servers listen only on the loopback interface.
import sys

from twisted.internet.posixbase import PosixReactorBase

listen = PosixReactorBase.listenTCP
PosixReactorBase.listenTCP = lambda reactor, port, factory, backlog=50, interface="": listen(
    reactor, port, factory, backlog, "127.0.0.1"
)

from autobahntestsuite.wstest import run  # noqa: E402  (chooses the reactor)

sys.exit(run())
