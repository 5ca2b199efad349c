"""The adapters of Google Cloud, against emulators.

`storage_server` stands for Cloud Storage, in the test's own process; Firestore and Pub/Sub are
Google's own emulators, found or started by `emulators`.
"""
