"""Whether what an operator sees fits what the app tells: alerts, queries, workbook, runbooks."""
