"""What only development needs: a simulated ActiveCampaign, a local Functions host, a storage emulator."""
