"""The rate of many workers against ActiveCampaign's windows, on simulated time.

Real: the budget's rules (`exporter.domain.budget`), their use (`exporter.steps.accounts`), the settlement
turn (`exporter.steps.settle`), and every constant of the steps and of the host. Modelled: the chain of chunk
calls and the lot, which follow `steps/deliver.py` and `steps/lot.py` but carry no contacts; workers whose
clocks differ; blobs and queues that take their time and lose swaps; and an ActiveCampaign that counts in true
sliding windows by the moment of arrival, where one request in a hundred comes up to a second late.
"""
