"""On Google Cloud: Cloud Storage for objects, Firestore for jobs, Pub/Sub for messages."""
