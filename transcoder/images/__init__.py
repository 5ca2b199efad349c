"""Images: made small in the sandbox, and judged before they are handed over."""
