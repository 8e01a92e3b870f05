"""Shows that the platform's own worker and the local host make the same of an app.

    python -m sandbox.worker_check --calls tests/worker/calls.json

From Python 3.13 on, the platform's worker is an ordinary package, `azure-functions-runtime`. It gets an
environment of its own, is sent the messages that the Functions host would send it, and its answers are
compared with what the local host reads and does.

    __main__     reads the command line, prints the verdict
    python       finds Python 3.13 and builds the worker's environment
    package      copies what would be deployed
    calls        reads what each function is called with
    driver       runs in the worker's environment: sends it messages, reports its answers
    local        runs in ours: reports what the local host reads and does
    trial        gives both the same app, settings and storage, each its own account
    comparison   finds the differences between the two reports

What only the Functions host checks (schedules, queue names, settings) is the local host's to refuse, and is
not shown here: the Functions host itself is not to be had outside Azure.
"""
