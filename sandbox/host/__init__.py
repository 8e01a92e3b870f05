"""A local Functions host: runs `function_app.py` unchanged against Azurite, the way Flex Consumption would.

    python -m sandbox.host --app-dir . --port 7071

Who does what, and in which process:

    __main__    reads the command line                      ┐
    host        starts, watches and stops everything        │
    front       the HTTP port: routes, admin, webhook       │ the host's own process
    events      stands in for Event Grid                    │
    pool        the host's view of its workers              ┘
    zygote      imports the app once and forks workers: one for each function, but one for all blob functions,
                and one for all HTTP functions
    worker      one instance: the app's event loop, and beside it the triggers it listens to:
                queues, blobs, timers (ncrontab)
    invocation  calls one function and collects its outputs
    wire        what host and worker say to each other

`functions`, `settings`, `host_json` and `routes` are pure: they turn what the app and its files say into
values, and every mistake into one line of the error that the host refuses to start with. `launcher.LocalHost`
runs the whole as a process of its own for tests and tools.
"""

from sandbox.host.launcher import LocalHost
from sandbox.host.problems import StartProblemsError

__all__ = ["LocalHost", "StartProblemsError"]
