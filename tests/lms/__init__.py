"""The LMS side: the example LMS, the client, signatures."""
