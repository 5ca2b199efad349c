# The database of the job records, with the indexes of the queries that the code makes and of no
# others: each write pays for each index.

resource "google_firestore_database" "jobs" {
  project                           = var.project_id
  name                              = var.database
  location_id                       = var.location
  type                              = "FIRESTORE_NATIVE"
  concurrency_mode                  = "OPTIMISTIC"
  point_in_time_recovery_enablement = var.point_in_time_recovery ? "POINT_IN_TIME_RECOVERY_ENABLED" : "POINT_IN_TIME_RECOVERY_DISABLED"
  delete_protection_state           = var.deletion_protection ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"

  # What "destroy" means is decided by the protection above: while it is on, this fails.
  deletion_policy = "DELETE"
}

# The newest jobs in a state.
resource "google_firestore_index" "state_written_at" {
  project     = var.project_id
  database    = google_firestore_database.jobs.name
  collection  = var.collection
  query_scope = "COLLECTION"

  fields {
    field_path = "state"
    order      = "ASCENDING"
  }

  fields {
    field_path = "written_at"
    order      = "DESCENDING"
  }
}

# No query asks for the record's text: up to 700 KB, indexed at every write.
resource "google_firestore_field" "record" {
  project    = var.project_id
  database   = google_firestore_database.jobs.name
  collection = var.collection
  field      = "record"

  index_config {}
}

resource "google_firestore_field" "token" {
  project    = var.project_id
  database   = google_firestore_database.jobs.name
  collection = var.collection
  field      = "token"

  index_config {}
}

# The backstop of the sweep, which forgets a record a day before this time. Times that only grow
# would make a hot index.
resource "google_firestore_field" "ttl_at" {
  project    = var.project_id
  database   = google_firestore_database.jobs.name
  collection = var.collection
  field      = "ttl_at"

  index_config {}

  ttl_config {}
}
