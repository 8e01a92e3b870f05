"""The ActiveCampaign API v3: requests out, verdicts back."""
