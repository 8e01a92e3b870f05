"""Segment files in Azure Blob Storage become contacts in ActiveCampaign, every row accounted for.

The flow, and where each step lives::

    a drop lands   -> steps/receive.py    which exports want it? one run for each, queued
    plans queue    -> steps/plan.py       read, check, pack: chunks and rejects, nothing sent yet
    chunks queue   -> steps/deliver.py    take a slot, send the bodies, write receipts
    settlements    -> steps/settle.py     ask what became of each batch, write outcomes
    receipts queue -> steps/aggregate.py  fold the facts; the last one completes the run, once
    timer          -> steps/sweep.py      what stalled is put anew, what was missed is found

``domain`` is pure, ``steps`` knows only ports, ``adapters`` does all I/O, ``bootstrap`` joins them.
"""

__version__ = "0.1.0"
