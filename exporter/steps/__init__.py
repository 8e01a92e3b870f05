"""The application: one verb a module, the ports they need, and the messages between them."""
