"""All input and output: Azure Storage, Key Vault, ActiveCampaign, time, logs."""
